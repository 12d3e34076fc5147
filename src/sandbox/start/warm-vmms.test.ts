import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { armFailpoint, compact, Deferred, disarmFailpoints } from '../../base/index.js';
import type { Manifest } from '../../store/index.js';
import { SandboxRegistry } from '../entity/registry.js';
import type { VmHost, Vm } from '../entity/vm.js';
import { Admission } from './admission.js';
import { WarmVmms, type StartEmptyVm } from './warm-vmms.js';

const MIB = 2 ** 20;
const machine = { machineType: 'pc', accel: 'tcg', cpuModel: 'max', vcpus: 1, memoryMiB: 64 };
const manifestOf = (base: string, more: object = {}): Manifest =>
  ({
    machine: { ...machine, ...more },
    agent: { guestPort: 5000 },
    disks: [{ id: base }],
  }) as unknown as Manifest;

describe('WarmVmms', () => {
  let root = '';
  let availableMiB = 0;
  let started: string[] = [];
  let ended: string[] = [];
  let exits: Deferred<'gone'>[] = [];
  let told: string[] = [];
  const sandboxes = new SandboxRegistry();
  const admission = new Admission({
    reserveBytes: 100 * MIB,
    availableBytes: () => Promise.resolve(availableMiB * MIB),
  });

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'warm-'));
    availableMiB = 10_000;
    [started, ended, exits, told] = [[], [], [], []];
  });
  afterEach(() => {
    disarmFailpoints();
    return rm(root, { recursive: true });
  });

  const start: StartEmptyVm = (_host, { paths }) => {
    started.push(paths.id);
    const exited = new Deferred<'gone'>();
    exits.push(exited);
    const kill = (): Promise<void> => {
      ended.push(paths.id);
      exited.resolve('gone');
      return Promise.resolve();
    };
    const close = (): Promise<void> => Promise.resolve();
    return Promise.resolve({ vmm: { exited: exited.promise, kill }, pager: { close } } as unknown as Vm);
  };

  function warmVmms(
    count: number,
    how: StartEmptyVm = start,
    asked: Pick<Admission, 'admitNow' | 'isShort'> = admission,
  ): WarmVmms {
    const tiers = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    const emit = (name: string): void => void told.push(name);
    const overlays = { create: () => Promise.resolve() };
    const context = { tiers, overlays, sandboxes, admission: asked, emit, vmHost: {} as VmHost };
    return new WarmVmms(context, count, how);
  }

  /** Resolves when `warm` has as many idle ones. */
  async function until(warm: WarmVmms, count: number): Promise<void> {
    for (let looks = 0; warm.idleCount !== count; looks++) {
      assert(looks < 1000, `${warm.idleCount} are idle, not ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  it('makes some ready of a machine that was started, for any snapshot with the same and for no other', async () => {
    const warm = warmVmms(2);
    warm.refill();
    warm.noteStart(manifestOf('a'), 4096);
    warm.refill();
    await until(warm, 2);
    assert.equal(warm.take(manifestOf('b')), undefined);
    assert.equal(warm.take(manifestOf('a', { vcpus: 2 })), undefined);
    const taken = warm.take(manifestOf('a', { qemuVersion: 'another' }));
    assert(taken !== undefined && sandboxes.owns(taken.paths.id) && existsSync(taken.paths.hotDir));
    assert.notEqual(warm.take(manifestOf('a')), undefined);
    assert.equal(warm.take(manifestOf('a')), undefined);
    await warm.stop();
    assert.deepEqual([started.length, ended], [2, []]);
  });

  it('leaves nothing of those that nobody has taken when it stops, and makes none any more', async () => {
    const warm = warmVmms(2);
    warm.noteStart(manifestOf('a'), 4096);
    warm.refill();
    await until(warm, 2);
    await warm.stop();
    warm.refill();
    assert.deepEqual(ended.toSorted(), started.toSorted());
    for (const id of started) {
      assert(!sandboxes.owns(id));
      assert(
        !existsSync(join(root, 'hot', 'sandboxes', id)) && !existsSync(join(root, 'state', 'sandboxes', id)),
      );
    }
    assert.equal(started.length, 2);
  });

  it('keeps those of the last two machines', async () => {
    const warm = warmVmms(1);
    for (const base of ['a', 'b', 'c']) {
      warm.noteStart(manifestOf(base), 4096);
      warm.refill();
      await until(warm, base === 'a' ? 1 : 2);
    }
    assert.equal(warm.take(manifestOf('a')), undefined);
    assert(warm.take(manifestOf('b')) && warm.take(manifestOf('c')));
    await warm.stop();
    assert.deepEqual(ended, started.slice(0, 1));
  });

  it('gives them back where a start finds no room, and makes none where there is too little', async () => {
    const warm = warmVmms(1);
    warm.noteStart(manifestOf('a'), 4096);
    warm.refill();
    await until(warm, 1);
    availableMiB = 150;
    const makeRoom = async (): Promise<boolean> => {
      const gave = await warm.giveBack();
      if (gave) availableMiB += 50;
      return gave;
    };
    const availableBytes = (): Promise<number> => Promise.resolve(availableMiB * MIB);
    const asked = new Admission({ reserveBytes: 100 * MIB, availableBytes, makeRoom });
    const { tickets } = await asked.admitSome(90 * MIB, 1);
    assert.deepEqual([tickets.length, warm.idleCount, ended], [1, 0, started]);
    assert.equal((await asked.admitSome(90 * MIB, 1)).refusal?.code, 'no_memory');
    warm.refill();
    await warm.stop();
    assert.equal(started.length, 1);
  });

  it('gives back the one that is being made, too, where a start finds no room', async () => {
    const [asked, goOn] = [new Deferred<void>(), new Deferred<void>()];
    const warm = warmVmms(2, async (host, request) => {
      asked.resolve();
      await goOn.promise;
      return start(host, request);
    });
    warm.noteStart(manifestOf('a'), 4096);
    availableMiB = 300;
    warm.refill();
    await asked.promise;
    assert.equal((await admission.admitNow(150 * MIB, 1)).tickets.length, 0);
    const gave = warm.giveBack();
    goOn.resolve();
    assert.equal(await gave, true);
    assert.deepEqual([started.length, ended, warm.idleCount], [1, started, 0]);
    const { tickets } = await admission.admitNow(150 * MIB, 1);
    assert.equal(tickets.length, 1);
    tickets[0]?.release();
    await warm.stop();
    assert.deepEqual(told, []);
  });

  it('gives them back when memory runs short, also after it could not be told once', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const answers = [() => Promise.reject(new Error('too many open files')), () => Promise.resolve(true)];
    const admitNow = admission.admitNow.bind(admission);
    const isShort = async (): Promise<boolean> => (await answers.shift()?.()) ?? false;
    const warm = warmVmms(1, start, { admitNow, isShort });
    warm.noteStart(manifestOf('a'), 4096);
    warm.refill();
    await until(warm, 1);
    for (const left of [1, 0]) {
      t.mock.timers.tick(1000);
      await new Promise(setImmediate);
      assert.equal(answers.length, left);
    }
    await until(warm, 0);
    await warm.stop();
    assert.deepEqual(ended, started);
  });

  it('forgets one that ends by itself, and tells of one that cannot be made', async () => {
    const warm = warmVmms(1);
    warm.noteStart(manifestOf('a'), 4096);
    warm.refill();
    await until(warm, 1);
    exits[0]?.resolve('gone');
    await until(warm, 0);
    await warm.stop();
    assert(!sandboxes.owns(started[0] ?? ''));
    const failing = warmVmms(1, () => Promise.reject(new Error('no')));
    failing.noteStart(manifestOf('a'), 4096);
    failing.refill();
    await failing.stop();
    assert.deepEqual(told, ['vmm.not-warm']);
    assert.deepEqual(compact({ idle: failing.idleCount }), { idle: 0 });
  });

  for (const place of ['warm.ground', 'warm.overlay', 'warm.ready']) {
    it(`leaves nothing of one that fails at ${place}, and makes it when it is asked again`, async () => {
      const warm = warmVmms(1);
      warm.noteStart(manifestOf('a'), 4096);
      armFailpoint(place, () => Promise.reject(new Error('EIO')));
      warm.refill();
      while (told.length === 0) await new Promise(setImmediate);
      assert.deepEqual([told, warm.idleCount, ended], [['vmm.not-warm'], 0, started]);
      for (const tier of ['hot', 'state']) assert.deepEqual(await readdir(join(root, tier, 'sandboxes')), []);
      assert(started.every((id) => !sandboxes.owns(id)));
      await new Promise(setImmediate);
      warm.refill();
      await until(warm, 1);
      await warm.stop();
      assert.deepEqual(ended, started);
    });
  }

  it('has none that ends just when it is ready', async () => {
    const warm = warmVmms(1);
    warm.noteStart(manifestOf('a'), 4096);
    armFailpoint('warm.ready', () => exits[0]?.resolve('gone'));
    warm.refill();
    while (ended.length === 0) await new Promise(setImmediate);
    assert.deepEqual([warm.idleCount, ended], [0, started]);
    await warm.stop();
    assert(!sandboxes.owns(started[0] ?? ''));
  });
});
