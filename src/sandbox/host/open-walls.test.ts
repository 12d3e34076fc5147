import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Events } from '../../contract/index.js';
import { SandboxRegistry } from '../entity/registry.js';
import { openWalls, type IsolationOptions } from './open-walls.js';

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

  async function open(options: IsolationOptions): Promise<{ walls: unknown; told: string[] }> {
    const events = new Events();
    const told: string[] = [];
    events.subscribe(({ name }) => told.push(name));
    const tiers = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    const host = { tiers, programs: [], sandboxes: new SandboxRegistry(), emit: events.emit };
    return { walls: await openWalls(options, host), told };
  }

  it('makes none where none are wished for, and opens no way', async () => {
    assert.deepEqual(await open({}), { walls: undefined, told: [] });
    assert.equal((await stat(join(root, 'hot', 'snapshots'))).mode & 0o777, 0o700);
  });

  it('tells that there are none where they were wished for as far as possible', async () => {
    assert.deepEqual(await open({ isolation: 'auto' }), { walls: undefined, told: ['isolation.missing'] });
  });

  for (const options of [{ isolation: 'user' }, { requireIsolation: 'user' }] as const) {
    it(`does not let a daemon start with ${Object.keys(options).join('')}`, async () => {
      await assert.rejects(open(options), {
        name: 'IsolationMissing',
        message:
          /^Cannot give each VMM a user of its own: (another user does not reach|the daemon is not root)/,
      });
    });
  }
});
