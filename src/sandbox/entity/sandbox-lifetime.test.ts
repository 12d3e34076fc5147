import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { hostClock, unixSeconds } from '../../base/index.js';
import { isBoughError } from '../../contract/index.js';
import { lifetimeOf } from './lifetime.js';
import { makeSandboxFolders, sandboxPaths, type SandboxPaths } from './paths.js';
import { newRecord, readRecord, writeRecord, type SandboxFields } from './record.js';
import { Sandbox } from './sandbox.js';
import type { Vm } from './vm.js';

/** A sandbox's folders with a record in it. */
async function recorded(t: TestContext, more: Partial<SandboxFields> = {}): Promise<SandboxPaths> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-lifetime-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const paths = sandboxPaths({ hotDir: join(dir, 'hot'), stateDir: join(dir, 'state') }, 'sb1');
  await makeSandboxFolders(paths);
  const record = newRecord({
    ...{ id: 'sb1', snapshotTag: 'base', createdAtUnix: unixSeconds() - 100 },
    machine: {
      ...{ qemuVersion: '7.2', machineType: 'pc', accel: 'tcg', cpuModel: 'max' },
      ...{ vcpus: 1, memoryMiB: 64, deviceLayout: 1 },
    },
    image: { name: 'i', digest: 'd' },
    agent: { guestPort: 1, secret: 's' },
    ...{ layers: [], disks: [], overlay: { id: 'o', path: '/o', format: 'qcow2' } },
    ...{ overlayNode: 'overlay0', switchCount: 0, branchCount: 0 },
    process: { pid: 1, startTimeTicks: 1, agentHostPort: 4000 },
    ...more,
  });
  await writeRecord(paths.record, record);
  return paths;
}

/** What the daemon has after it (re)started, of a VM that is none. */
async function owned(paths: SandboxPaths): Promise<Sandbox> {
  const idle = { close: () => Promise.resolve() };
  const vmm = {
    exited: new Promise(() => undefined),
    qmp: new EventEmitter(),
    ...{ release: idle.close, kill: idle.close, pid: 1 },
  };
  const vm = { vmm, pager: idle, agentHostPort: 4000 } as unknown as Vm;
  return Sandbox.running(paths, await readRecord(paths.record), vm, { seccomp: true, emit: () => undefined });
}

describe('the lifetime of a sandbox in its record', () => {
  it('is found by the next daemon, terms and last use', async (t) => {
    const paths = await recorded(t);
    const first = await owned(paths);
    const lifetime = lifetimeOf({ endInMs: 3_600_000, onEnd: 'snapshot', onEndTag: 'last' });
    await first.update({ lifetime });
    await first.lifetime.during(() => Promise.resolve());
    await first.release();
    const next = await owned(paths);
    assert.deepEqual(next.view(), first.view());
    const { endAtUnix: atUnix, onEnd: onEnd, onEndTag: tag, lastUsedAtUnix: used } = next.view();
    assert.ok(Math.abs((atUnix ?? 0) - unixSeconds() - 3600) <= 2);
    assert.ok(Math.abs(used - unixSeconds()) <= 2);
    assert.deepEqual([onEnd, tag], ['snapshot', 'last']);
  });

  it('that ended while no daemon ran is due at once', async (t) => {
    const end = { atUnix: unixSeconds() - 5, atBootMs: hostClock.bootMs() - 5000, bootId: hostClock.bootId };
    const next = await owned(await recorded(t, { lifetime: { end, onEnd: 'kill' } }));
    assert.match(next.lifetime.due() ?? '', /time is over/);
  });

  it('is none in the record of an earlier version', async (t) => {
    const next = await owned(await recorded(t));
    assert.equal(next.lifetime.due(), undefined);
    assert.equal(next.view().lastUsedAtUnix, next.record.createdAtUnix);
  });

  it('takes no calls from when its end has begun, in the next daemon too', async (t) => {
    const paths = await recorded(t);
    const sandbox = await owned(paths);
    sandbox.require('use');
    await sandbox.noteEnd('last');
    for (const each of [sandbox, await owned(paths)]) {
      assert.throws(
        () => each.require('use'),
        (error) => isBoughError(error, 'sandbox_not_running') && error.message.includes('is at its end'),
      );
    }
    await sandbox.noteEnd(undefined);
    (await owned(paths)).require('use');
  });

  it('keeps every change when several are written at once', async (t) => {
    const paths = await recorded(t);
    const sandbox = await owned(paths);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => sandbox.update({ branchCount: index, lastUsedAtUnix: index })),
    );
    const { branchCount, lastUsedAtUnix } = await readRecord(paths.record);
    assert.deepEqual([branchCount, lastUsedAtUnix], [19, 19]);
  });
});
