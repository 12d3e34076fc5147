import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it, type TestContext } from 'node:test';
import { aRecord, fakeVm, owned, recorded } from '../../../test/support/recorded-sandbox.js';
import { refusedWith } from '../../../test/support/refusal.js';
import { armFailpoints, Deferred, disarmFailpoints } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Lease, SnapshotView } from '../../store/index.js';
import type { BranchSpec } from '../branch/capture.js';
import { makeSandboxFolders, removeSandboxFolders, sandboxPaths } from '../entity/paths.js';
import { readRecord, writeRecord, type SandboxFields } from '../entity/record.js';
import { SandboxRegistry } from '../entity/registry.js';
import { Sandbox } from '../entity/sandbox.js';
import { ownCall } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import { inGuest } from '../host/in-guest.js';
import type { Restored } from '../start/restore.js';
import { Rollbacks, type RollbackSpec } from './rollback.js';

const LIFETIME = { end: { atUnix: 2e9, atBootMs: 1, bootId: 'b' }, onEnd: 'kill' as const };
const NETWORK = { mode: 'list' as const, rules: [], presets: [], max_connections: 8 };
const EIO = Object.assign(new Error('EIO'), { code: 'EIO' });

/** What a test may replace: each is asked right before what it is named after. */
interface Script {
  readonly restore?: () => unknown;
  readonly branch?: (spec: BranchSpec) => unknown;
  readonly answers?: (signal: AbortSignal) => unknown;
  readonly record?: Partial<SandboxFields>;
  readonly views?: readonly SnapshotView[];
}

async function bench(t: TestContext, script: Script = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'bough-rollback-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const before = { vm: fakeVm(), paths: await recorded(dir, { name: 'box', ...script.record }) };
  const next = {
    vm: fakeVm(),
    paths: sandboxPaths({ hotDir: `${dir}/hot`, stateDir: `${dir}/state` }, 'next'),
  };
  const { failure } = script.record ?? {};
  const sandbox =
    failure === undefined
      ? await owned(before.paths, before.vm)
      : Sandbox.failed(before.paths, { ...(await readRecord(before.paths.record)), failure });
  const sandboxes = new SandboxRegistry();
  sandboxes.add(sandbox);
  const told: string[] = [];
  const removed: string[] = [];
  const context = {
    sandboxes,
    store: {
      list: () => script.views ?? [],
      remove: (tag: string) => Promise.resolve(void removed.push(tag)),
    },
    vmHost: { qemu: { seccomp: true } },
    networks: { forget: () => Promise.resolve() },
    emit: (name: string) => void told.push(name),
  } as unknown as HostContext;
  const lease = { manifest: { tag: 'point' } } as unknown as Lease;
  const starts = {
    one: <T>(_tag: string, caller: AbortSignal, work: (lease: Lease, signal: AbortSignal) => Promise<T>) =>
      work(lease, caller),
  };
  const branches = {
    run: async (of: Sandbox, spec: BranchSpec) => {
      await script.branch?.(spec);
      await of.update({ branchCount: of.record.branchCount + 1 });
      return { tag: spec.tag ?? '' } as SnapshotView;
    },
  };
  const rollbacks = new Rollbacks(context, starts, branches, {
    restore: async (_context, _lease, plan, undo): Promise<Restored> => {
      undo.defer(() => removeSandboxFolders(next.paths));
      await makeSandboxFolders(next.paths);
      await script.restore?.();
      undo.defer(() => next.vm.vmm.kill());
      const { process, agent, ...restored } = aRecord({ snapshotTag: 'point' });
      const record = { ...plan.record('next', { ...restored, agent }), version: 1 as const };
      await writeRecord(next.paths.record, record);
      return { paths: next.paths, vm: next.vm, record: { ...record, ...(process && { process }) } };
    },
    answers: async (_made, signal) => {
      await script.answers?.(signal);
    },
  });
  const run = (spec: Partial<RollbackSpec> = {}, call = ownCall()) =>
    rollbacks.run(sandbox, { tag: 'point', keep: true, ...spec }, call);
  const folders = (): Promise<string[]> => readdir(join(before.paths.stateDir, '..'));
  return { ...{ sandbox, sandboxes, before, next, told, removed, run, folders, context } };
}

describe('a rollback', () => {
  afterEach(disarmFailpoints);

  it('keeps what the sandbox is, takes what it consists of from the snapshot, and ends the VM of before', async (t) => {
    const record = {
      ...{ lifetime: LIFETIME, network: NETWORK, metadata: { a: 'b' }, env: { E: '1' }, branchCount: 3 },
      parent: 'elder',
    };
    const { sandbox, sandboxes, before, next, told, run, folders } = await bench(t, { record });
    const { sandbox: now, kept } = await run();
    assert.equal(sandboxes.get('box'), now);
    const { id, snapshotTag, generation, branchCount, name, ...rest } = await readRecord(next.paths.record);
    assert.deepEqual([id, snapshotTag, generation, branchCount, name], ['sb1', 'point', 1, 4, 'box']);
    const { lifetime, network, metadata, env, parent } = rest;
    assert.deepEqual({ lifetime, network, metadata, env, parent, branchCount: 3 }, record);
    assert.equal(rest.createdAtUnix, sandbox.record.createdAtUnix);
    assert.match(kept?.tag ?? '', /^before-sb1-/);
    assert.deepEqual([before.vm.wasKilled(), next.vm.wasKilled()], [true, false]);
    assert.deepEqual(await folders(), ['next']);
    assert.deepEqual(told, ['sandbox.rolled-back']);
  });

  const failing: Readonly<Record<string, Script | string>> = {
    'the VM is restored': { restore: () => Promise.reject(EIO) },
    'the state of before is kept': { branch: () => Promise.reject(EIO) },
    'the guest answers': { answers: () => Promise.reject(EIO) },
    'it is begun to switch': 'rollback.restored=errno:EIO',
    'the record that is the switch is written': 'record.changed:3=errno:EIO',
    'that record was written': 'rollback.switched=errno:EIO',
  };
  for (const [when, what] of Object.entries(failing)) {
    it(`that fails when ${when} leaves the sandbox as it was, and nothing else`, async (t) => {
      const { sandbox, sandboxes, before, next, told, removed, run, folders } = await bench(
        t,
        typeof what === 'string' ? {} : what,
      );
      if (typeof what === 'string') armFailpoints(what);
      await assert.rejects(run({ keepTag: 'kept' }), { code: 'EIO' });
      assert.equal(sandboxes.get('sb1'), sandbox);
      sandbox.require('use');
      assert.equal(before.vm.wasKilled(), false);
      assert.deepEqual(await folders(), ['sb1']);
      assert.equal((await readRecord(before.paths.record)).snapshotTag, 'base');
      assert.equal(next.vm.wasKilled(), when !== 'the VM is restored');
      const wasKept = /answers|record/.test(when);
      assert.deepEqual(removed, wasKept ? ['kept'] : [], 'the checkpoint of a state that is still there');
      assert.deepEqual(told, ['sandbox.not-rolled-back']);
    });
  }

  it('notes the request that asked for it, with what it kept, beside the latest before it', async (t) => {
    const key = (digit: string) => ({ keySha256: digit.repeat(64), requestSha256: digit.repeat(64) });
    const before = Array.from({ length: 32 }, () => key('1'));
    const { next, run } = await bench(t, { record: { rollbacks: before } });
    await run({ keepTag: 'kept' }, { ...ownCall(), key: key('2') });
    const { rollbacks } = await readRecord(next.paths.record);
    assert.deepEqual(rollbacks, [...before.slice(1), { ...key('2'), kept: 'kept' }]);
  });

  it('of a caller with a key goes on without him', async (t) => {
    const key = { keySha256: '3'.repeat(64), requestSha256: '3'.repeat(64) };
    const leaver = new AbortController();
    const { run } = await bench(t, { answers: () => leaver.abort() });
    const { sandbox } = await run({ keep: false }, { ...ownCall(), signal: leaver.signal, key });
    assert.deepEqual(sandbox.record.rollbacks, [key]);
  });

  it('waits for the branch under way, and lets nobody in meanwhile', async (t) => {
    let isRestored = false;
    const { sandbox, run } = await bench(t, { restore: () => void (isRestored = true) });
    const release = sandbox.claimForBranch();
    const running = run();
    for (const request of ['use', 'ask-for-branch', 'pause', 'change-lifetime', 'change-network'] as const)
      assert.throws(() => sandbox.require(request), { code: 'rollback_in_progress' }, request);
    await refusedWith('rollback_in_progress', 409, run());
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(isRestored, false, 'it keeps nobody from starting a VM');
    release();
    await running;
    assert.throws(() => sandbox.require('use'), { code: 'sandbox_rolled_back' });
  });

  it('is given up when the sandbox is removed or the caller leaves, until it switches', async (t) => {
    const met = new Deferred<undefined>();
    const waits = (signal: AbortSignal): Promise<never> => {
      met.resolve(undefined);
      return new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    };
    const { sandbox, sandboxes, next, run, folders } = await bench(t, { answers: waits });
    const leaver = new AbortController();
    const left = run({}, { ...ownCall(), signal: leaver.signal });
    await met.promise;
    leaver.abort(new BoughError('shutting_down'));
    await refusedWith('shutting_down', 503, left);
    sandbox.require('use');
    const refused = refusedWith('sandbox_not_running', 409, run());
    assert.equal(await sandboxes.remove(sandbox), true);
    await refused;
    assert.deepEqual([sandboxes.list(), await folders(), next.vm.wasKilled()], [[], [], true]);
  });

  it('that has switched is followed by the removal that was asked for meanwhile', async (t) => {
    const { sandbox, sandboxes, before, next, run, folders } = await bench(t);
    const removal = new Deferred<Promise<boolean>>();
    const running = run({ keep: false });
    const giveWay = sandbox.giveWay.bind(sandbox);
    sandbox.giveWay = () => {
      removal.resolve(sandboxes.remove(sandbox));
      return giveWay();
    };
    await running;
    assert.equal(await removal.promise, true);
    assert.deepEqual([sandboxes.list(), await folders()], [[], []]);
    assert.deepEqual([before.vm.wasKilled(), next.vm.wasKilled()], [true, true]);
  });

  it('tells calls that were in the guest that it is another now', async (t) => {
    const { context, run } = await bench(t);
    const cut = new Deferred<undefined>();
    const call = inGuest(context, { id: 'box', operation: 'run a program' }, async () => {
      await cut.promise;
      throw EIO;
    });
    await run();
    cut.resolve(undefined);
    await refusedWith('sandbox_rolled_back', 409, call);
  });

  it('brings back one whose VM has ended, of which nothing can be kept', async (t) => {
    const record = { failure: 'it exited', consoleTail: 'panic' };
    const { sandboxes, sandbox, run, folders } = await bench(t, { record, branch: () => assert.fail() });
    assert.equal(sandbox.state, 'failed');
    const { sandbox: now, kept } = await run();
    assert.deepEqual([kept, now.state, sandboxes.get('box')], [undefined, 'running', now]);
    assert.deepEqual([now.record.failure, now.record.consoleTail], [undefined, undefined]);
    assert.deepEqual(await folders(), ['next']);
  });

  it('goes to the newest checkpoint of the sandbox where no tag is given', async (t) => {
    const checkpoint = (tag: string, ordinal: number, atUnixMs: number, more: object = {}) =>
      ({
        ...{ tag, status: 'ready', branchedFrom: 'sb1', ...more },
        retention: { ordinal, checkpoint: { atUnixMs, atBootMs: 1, bootId: 'b' } },
      }) as unknown as SnapshotView;
    const branch = { tag: 'branch', status: 'ready', branchedFrom: 'sb1' } as unknown as SnapshotView;
    const views = [
      ...[checkpoint('new', 9, 50), checkpoint('old', 8, 100), branch],
      ...[
        checkpoint('broken', 10, 60, { status: 'failed' }),
        checkpoint('other', 11, 70, { branchedFrom: 'x' }),
      ],
    ];
    const asked: string[] = [];
    const { run } = await bench(t, { views, restore: () => asked.push('restored') });
    await run({ tag: undefined });
    assert.deepEqual(asked, ['restored']);
    const none = await bench(t, { views: [branch] });
    await refusedWith('no_checkpoint', 409, none.run({ tag: undefined }));
    none.sandbox.require('use');
  });
});
