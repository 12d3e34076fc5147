import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deferred } from '../../base/index.js';
import type { Lease, Store } from '../../store/index.js';
import { DEVICE_LAYOUT } from '../../vmm/index.js';
import { Admission, childBytes } from './admission.js';
import type { HostContext } from '../host/context.js';
import { SandboxRegistry } from '../entity/registry.js';
import type { Sandbox } from '../entity/sandbox.js';
import { Starts, type SpawnChild } from './starts.js';

const MEMORY_MIB = 1024;

/** A host with room for `room` children; `spawn` makes each. Counts what was made, removed and leased. */
function fixture(
  room: number,
  spawn: (index: number, signal: AbortSignal) => Promise<void>,
  qemuVersion = '7.2.0',
) {
  const sandboxes = new SandboxRegistry();
  const removed: string[] = [];
  let made = 0;
  let leases = 0;
  const machine = {
    ...{ qemuVersion, machineType: 'pc', accel: 'tcg', cpuModel: 'max', vcpus: 1 },
    ...{ memoryMiB: MEMORY_MIB, deviceLayout: DEVICE_LAYOUT },
  };
  const lease = (): Lease =>
    ({
      manifest: { id: 'base-id', tag: 'base', createdAtUnix: 0, machine },
      release: () => (leases -= 1),
      [Symbol.dispose]: () => (leases -= 1),
    }) as unknown as Lease;
  const context = {
    store: {
      acquire: async (...[, , , accept]: Parameters<Store['acquire']>) => {
        await accept?.(lease().manifest);
        leases += 1;
        return lease();
      },
    },
    vmHost: { qemu: { version: '7.2.0', machineType: 'pc' } },
    admission: new Admission({
      reserveBytes: 0,
      availableBytes: () => Promise.resolve(room * childBytes(MEMORY_MIB)),
    }),
    sandboxes,
    emit: () => undefined,
  } as unknown as HostContext;
  const spawnFake: SpawnChild = async (_context, _lease, _options, signal) => {
    const index = ++made;
    await spawn(index, signal ?? new AbortController().signal);
    const id = `sandbox${index}`;
    sandboxes.begin(id);
    return {
      ...{ id, paths: { id }, state: 'running', record: { snapshotTag: 'base', createdAtUnix: 1 } },
      privateBytes: () => childBytes(MEMORY_MIB) / 2 / 1.25,
      remove: () => Promise.resolve(void removed.push(id)),
    } as unknown as Sandbox;
  };
  const starts = new Starts(context, spawnFake);
  const listed = (): string[] => sandboxes.list().map(({ id }) => id);
  return { starts, sandboxes, listed, removed, counts: () => ({ made, leases }) };
}

describe('Starts', () => {
  it('all() lists every child at once, and gives the room back', async () => {
    const { starts, listed, counts } = fixture(3, () => Promise.resolve());
    await starts.all('base', 3, {});
    assert.equal(listed().length, 3);
    await starts.all('base', 3, {});
    assert.deepEqual(counts(), { made: 6, leases: 0 });
  });

  it('takes the next children to need what the first own', async () => {
    const { starts, listed } = fixture(3, () => Promise.resolve());
    await assert.rejects(starts.all('base', 4, {}), { code: 'no_memory' });
    await starts.all('base', 1, {});
    await starts.all('base', 6, {});
    await assert.rejects(starts.all('base', 7, {}), { code: 'no_memory' });
    assert.equal(listed().length, 7);
  });

  it('all() is refused before anything is made when there is no room for all', async () => {
    const { starts, counts } = fixture(2, () => Promise.resolve());
    await assert.rejects(starts.all('base', 3, {}), { code: 'no_memory', status: 507 });
    assert.deepEqual(counts(), { made: 0, leases: 0 });
  });

  it('all() removes the others when one fails, lists none, and tells why that one failed', async () => {
    const { starts, sandboxes, listed, removed } = fixture(9, (index) =>
      index === 2 ? Promise.reject(new Error('no luck')) : Promise.resolve(),
    );
    await assert.rejects(starts.all('base', 4, {}), /no luck/);
    assert.deepEqual(listed(), []);
    assert(removed.includes('sandbox1'));
    assert(!removed.some((id) => sandboxes.owns(id)));
  });

  it('all() leaves none when the caller gives up, before or after some are there', async () => {
    const before = new AbortController();
    const { starts, listed, removed, counts } = fixture(9, (index) => {
      if (index === 3) before.abort(new Error('gone'));
      return Promise.resolve();
    });
    await assert.rejects(starts.all('base', 3, {}, before.signal), /gone/);
    assert.deepEqual(listed(), []);
    assert.deepEqual(removed.sort(), ['sandbox1', 'sandbox2', 'sandbox3']);
    await assert.rejects(starts.all('base', 3, {}, before.signal), /gone/);
    assert.deepEqual(counts(), { made: 3, leases: 0 });
  });

  it('refuses a snapshot of another QEMU before it is leased', async () => {
    const { starts, counts } = fixture(9, () => Promise.resolve(), '9.9.9');
    await assert.rejects(starts.all('base', 1, {}), { code: 'snapshot_incompatible' });
    await assert.rejects(starts.each('base', 1, {}), { code: 'snapshot_incompatible' });
    assert.deepEqual(counts(), { made: 0, leases: 0 });
  });

  it('each() starts as many as there is room for, and says why not the others', async () => {
    const { starts, listed } = fixture(2, () => Promise.resolve());
    const outcomes = await starts.each('base', 3, {});
    assert.equal(listed().length, 2);
    assert.equal((outcomes[2]?.error as { code: string }).code, 'no_memory');
  });

  it('has VMMs made ready once, when no start is under way any more', async () => {
    let refills = 0;
    const context = { warmVmms: { refill: () => (refills += 1) } } as unknown as HostContext;
    const starts = new Starts(context);
    const works = [new Deferred<void>(), new Deferred<void>(), new Deferred<void>()];
    const running = works.map(({ promise }) => starts.run(() => promise));
    for (const [index, work] of works.entries()) {
      work.resolve();
      await running[index];
      await new Promise(setImmediate);
      assert.equal(refills, index === works.length - 1 ? 1 : 0);
    }
    await starts.run(() => Promise.resolve());
    await new Promise(setImmediate);
    assert.equal(refills, 2);
  });

  it('stop() aborts what is under way, waits for it, and refuses what comes later', async () => {
    const begun = new Deferred<undefined>();
    const { starts, listed, counts } = fixture(9, async (_index, signal) => {
      begun.resolve(undefined);
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(new Error('undone'))),
      );
    });
    const spawning = assert.rejects(starts.all('base', 6, {}), { code: 'shutting_down' });
    await begun.promise;
    await starts.stop();
    assert.deepEqual(listed(), []);
    assert.deepEqual(counts(), { made: 4, leases: 0 });
    await spawning;
    await assert.rejects(starts.all('base', 1, {}), { code: 'shutting_down' });
  });
});
