import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Events } from '../../contract/index.js';
import { SandboxRegistry } from '../entity/registry.js';
import { openWalls, type IsolationOptions } from './open-walls.js';

const notRoot = process.getuid?.() === 0 ? false : 'to run something as another user needs root';

describe('openWalls() where VMMs do not reach what they need', () => {
  let root = '';
  beforeEach(async () => {
    // Nobody but us may pass.
    root = await mkdtemp(join(tmpdir(), 'bough-walls-'));
    for (const tier of ['state', 'hot'])
      for (const folder of ['sandboxes', 'snapshots'])
        await mkdir(join(root, tier, folder), { recursive: true, mode: 0o700 });
  });
  afterEach(() => rm(root, { recursive: true }));

  async function open(options: IsolationOptions): Promise<{ given: unknown; told: string[] }> {
    const events = new Events();
    const told: string[] = [];
    events.subscribe(({ name }) => told.push(name));
    const tiers = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    const host = {
      tiers,
      qemuPath: '/none',
      programs: [],
      sandboxes: new SandboxRegistry(),
      emit: events.emit,
    };
    return { given: await openWalls(options, host), told };
  }

  it('makes none where none are wished for, and opens no way', async () => {
    assert.deepEqual(await open({}), { given: {}, told: [] });
    assert.equal((await stat(join(root, 'hot', 'snapshots'))).mode & 0o777, 0o700);
  });

  it('tells that there are none where they were wished for as far as possible', async () => {
    assert.deepEqual(await open({ isolation: 'auto' }), { given: {}, told: ['isolation.missing'] });
  });

  for (const options of [
    { isolation: 'user' },
    { requireIsolation: 'user' },
    { isolation: 'confined' },
    { isolation: 'auto', requireIsolation: 'confined' },
  ] as const) {
    it(`does not let a daemon start with ${JSON.stringify(options)}`, async () => {
      await assert.rejects(open(options), {
        name: 'IsolationMissing',
        message:
          /^Cannot give each VMM a user of its own: (another user does not reach|the daemon is not root)/,
      });
    });
  }
});

describe('openWalls() where VMMs can have users, and cannot be confined', { skip: notRoot }, () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'bough-walls-'));
    await chmod(root, 0o711);
    for (const tier of ['state', 'hot'])
      for (const folder of ['sandboxes', 'snapshots'])
        await mkdir(join(root, tier, folder), { recursive: true, mode: 0o700 });
  });
  afterEach(() => rm(root, { recursive: true }));

  /** The program that is to be started confined is none. */
  async function open(options: IsolationOptions): Promise<{ confined: unknown; told: string[] }> {
    const events = new Events();
    const told: string[] = [];
    events.subscribe(({ name }) => told.push(name));
    const tiers = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    const host = { tiers, qemuPath: '/none', programs: [], sandboxes: new SandboxRegistry() };
    const { walls } = await openWalls(options, { ...host, emit: events.emit });
    return { confined: walls?.take('vm').confined, told };
  }

  it('gives them users, and tells that it is not more where that was wished for', async () => {
    assert.deepEqual(await open({ isolation: 'user' }), { confined: undefined, told: [] });
    assert.deepEqual(await open({ isolation: 'auto' }), { confined: undefined, told: ['isolation.missing'] });
    assert.deepEqual(await open({ isolation: 'auto', requireIsolation: 'user' }), {
      ...{ confined: undefined, told: ['isolation.missing'] },
    });
  });

  it('lets no daemon start that requires more', async () => {
    for (const options of [{ isolation: 'confined' }, { requireIsolation: 'confined' }] as const)
      await assert.rejects(open(options), {
        message: /^Cannot confine VMMs: cannot run \/none: No such file/,
      });
  });
});
