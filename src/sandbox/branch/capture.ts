/**
 * Branching a running sandbox: one capture of memory, devices and disk, from which children can start.
 *
 *   draft (listed as writing) -> spare overlays ready -> [programs held] -> pager: branch, and ancestry linked -> frozen overlays linked -> publish
 *
 * The disk: the snapshot's chain is what lies frozen below the source's overlay, and as its top the overlay's bytes at
 * the pause (the tail). An overlay too large to copy in a pause is first frozen itself, by a switch to an empty one
 * while the guest runs; so the source's chain grows with what it writes, not with how often it is branched. The pager
 * decides that, when it knows how large the overlay has become.
 *
 * Invariant: whatever fails, the source runs, and nothing of the snapshot is left or listed.
 */
import { join } from 'node:path';
import type { HeldPrograms } from '../../agent/index.js';
import { compact, Deferred, failpoint, messageOf, MiB, monotonicMs } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import {
  PAGER_PROTOCOL_VERSION,
  PagerDisconnected,
  PagerError,
  type PagerBranchRequest,
  type PagerCapture,
  type PagerPause,
} from '../../pager/index.js';
import { QmpDisconnected, QmpTimeout } from '../../qmp/index.js';
import {
  NoSpace,
  type CaptureFacts,
  type Draft,
  type DraftRequest,
  type SnapshotMode,
  type SnapshotView,
} from '../../store/index.js';
import type { CallContext } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import { retentionOf, type RetentionSpec } from '../entity/retention.js';
import { foldIfLong, makeRoomInChain } from '../disk/fold.js';
import { reconcileDisk, removeOtherDisks } from '../disk/reconcile.js';
import { noteSwitches, prepareSpares, sparesForPager } from '../disk/spares.js';
import {
  breakLine,
  endLines,
  extendedLine,
  letReadOwn,
  lineOn,
  makeRoomInLine,
  mergeIfLong,
  pagerLine,
  replaceLine,
} from './line.js';
import { layersBelow, type LayersBelow } from './lineage.js';
import type { Sandbox } from '../entity/sandbox.js';
import { lendFiles, takeBackFiles } from '../entity/lent-files.js';
import { letRead } from '../entity/vmm-files.js';
import { hadEnded } from '../entity/had-ended.js';
import { VmmSilent } from '../../vmm/index.js';

/** Room for what the guest writes while it is being captured. */
const RESERVE_SLACK_BYTES = 64 * MiB;
const LIVE_DEADLINE_MS = 5_000;
const STOPPED_DEADLINE_MS = 300_000;
/** Who waits for a branch, and what comes behind its answer, go before what is made ready for the next. */
const READY_MS = 20;
/** The pager keeps its own deadlines; this is for one that never will. */
const LONGEST_BRANCH_MS = 3 * STOPPED_DEADLINE_MS;

/** A branch under way. */
export interface BranchUnderWay {
  readonly tag: string;
  /** Resolves when the source runs again; rejects as `ready` does. */
  readonly running: Promise<PagerPause>;
  /** Resolves when the snapshot is ready; rejects with the branch's failure, after everything is cleaned up. */
  readonly ready: Promise<SnapshotView>;
}

/** How far a branch is when whoever asked for it is answered. */
export type BranchWait = 'running' | 'ready' | 'durable';

/** What to capture, and what to wait for. */
export interface BranchSpec {
  readonly mode: SnapshotMode;
  /** Name of the snapshot; made up when absent. */
  readonly tag?: string | undefined;
  /** After `running` the tag is given out while the snapshot is written: from then on a failure is listed, not undone. */
  readonly wait: BranchWait;
  /** Refused unless the source was started from the snapshot of this tag. */
  readonly parentTag?: string | undefined;
  /** The guest's programs stand still around the pause, and in a child until it is its own. */
  readonly freeze?: boolean | undefined;
  readonly retention?: RetentionSpec | undefined;
}

/**
 * Starts a branch. Throws `branch_in_progress`, `sandbox_not_running`, `sandbox_outdated`, `invalid_request` for an expiry that has passed, or what the store says of tag and room; then
 * nothing has happened.
 */
export async function startBranch(
  context: HostContext,
  sandbox: Sandbox,
  spec: BranchSpec & { readonly tag: string },
  { key }: CallContext,
): Promise<BranchUnderWay> {
  const { mode, tag } = spec;
  if (spec.freeze === true) sandbox.require('use');
  if (mode === 'live') await makeRoomInLine(context, sandbox);
  const release = sandbox.claimForBranch();
  try {
    // Once it is the one branch: another may have been counted meanwhile.
    const retention = retentionOf(spec.retention, sandbox.record.branchCount + 1);
    requireOwnPager(sandbox);
    await makeRoomInChain(context, sandbox);
    const { record } = sandbox;
    const memory = layersBelow(record.layers, mode);
    const reserve = sandbox.privateBytes() + memory.copiedBytes + RESERVE_SLACK_BYTES;
    const draft = await draftWith(context, sandbox, {
      tag,
      mode,
      branchedFrom: sandbox.id,
      parentTag: record.snapshotTag,
      retention,
      requestKey: key,
      reserveHotBytes: reserve,
      reserveDurableBytes: reserve,
    });
    const running = new Deferred<PagerPause>();
    const ready = capture(
      { context, sandbox, draft, spec, memory, reservedBytes: reserve, release },
      running,
    ).finally(() => {
      release();
      // Whoever waits for the branch is answered first.
      setImmediate(() => {
        foldIfLong(context, sandbox);
        mergeIfLong(context, sandbox);
      });
    });
    ready.catch(running.reject);
    running.promise.catch(() => undefined);
    return { tag, running: running.promise, ready };
  } catch (error) {
    await noteVmm(sandbox, error);
    release();
    throw error;
  }
}

/** Lines, the sandbox's own too, are not to keep anybody from capturing. */
async function draftWith(
  { store, sandboxes }: HostContext,
  sandbox: Sandbox,
  request: DraftRequest,
): Promise<Draft> {
  try {
    return await store.draft(request);
  } catch (error) {
    if (!(error instanceof NoSpace && error.store === 'hot')) throw error;
    await replaceLine(sandbox, undefined);
    await endLines(sandboxes);
    return store.draft(request);
  }
}

function requireOwnPager({ id, vm: { foreignPagerVersion: found } }: Sandbox): void {
  if (found !== undefined)
    throw new BoughError('sandbox_outdated', { id, wanted: PAGER_PROTOCOL_VERSION, found });
}

/** How the end of QEMU looks from within it. */
const LOST = new Set(['ECONNRESET', 'EPIPE', 'EREMOTEIO', 'ENOTCONN']);

/** What a failure tells of the VMM: it has ended, or it has stopped to answer. */
async function noteVmm(sandbox: Sandbox, error: unknown): Promise<void> {
  const isLost = error instanceof PagerDisconnected || error instanceof QmpDisconnected;
  // A pager that lost QEMU's QMP tells the same in its own words.
  if (isLost || (error instanceof PagerError && LOST.has(error.errnoName))) await sandbox.endNoted();
  if (isLost || error instanceof VmmSilent || error instanceof QmpTimeout)
    await sandbox.becomeUnresponsive(error.message);
}

/** A branch, once its draft is there. */
interface Capture {
  readonly context: HostContext;
  readonly sandbox: Sandbox;
  readonly draft: Draft;
  readonly spec: BranchSpec;
  readonly memory: LayersBelow;
  /** What its layer may take. */
  readonly reservedBytes: number;
  /** Lets others branch the sandbox again. */
  readonly release: () => void;
}

/** Throws AgentRefused where the programs do not stand still; undefined where they need not. */
async function heldPrograms({ sandbox, spec }: Capture): Promise<HeldPrograms | undefined> {
  return spec.freeze === true ? sandbox.agent.freeze() : undefined;
}

/** From the draft to the snapshot. Resolves `running` on the way; what fails is cleaned up and thrown. */
async function capture(work: Capture, running: Deferred<PagerPause>): Promise<SnapshotView> {
  const { context, sandbox, draft, spec } = work;
  let done: Promise<PagerCapture> | undefined;
  let linked: Promise<void> | undefined;
  let held: HeldPrograms | undefined;
  try {
    const request = await prepare(work);
    await sandbox.vm.vmm.group?.makeRoom(work.reservedBytes);
    held = await heldPrograms(work);
    const branch = sandbox.vm.pager.branch(request);
    done = sandbox.vm.vmm.whileAnswering(branch.done, LONGEST_BRANCH_MS);
    done.catch(() => undefined);
    // Nobody needs it before the end.
    linked = draft.addAncestry({ layers: work.memory.layers, disks: sandbox.record.disks });
    linked.catch(() => undefined);
    await failpoint('branch.requested');
    const pause = await Promise.race([branch.running, done.then(() => branch.running)]);
    held?.requireHeld(monotonicMs() - pause.pauseUs / 1000);
    void held?.release();
    await failpoint('branch.running');
    draft.note(timesOf(pause));
    if (spec.wait === 'running') await draft.announce();
    running.resolve(pause);
    setImmediate(() => tellOf(work, pause));

    const captured = await done;
    await takeBackFiles(sandbox.vm, sandbox.paths, draft);
    await failpoint('branch.captured');
    const frozen = await noteSwitches(sandbox, pause.switches);
    await failpoint('branch.switch-noted');
    await linked;
    for (const disk of frozen) await draft.addDisk(disk);
    if (captured.wentOn) await draft.addAncestry({ layers: sandbox.record.line?.layers ?? [], disks: [] });
    await requireLivingCapture(sandbox, pause);
    return await publish(work, pause, captured);
  } catch (error) {
    void held?.release();
    // What failed here has not stopped the pager, which works on its files and the disk until it answers.
    await done?.catch(() => undefined);
    await linked?.catch(() => undefined);
    await takeBackFiles(sandbox.vm, sandbox.paths, draft);
    await failpoint('branch.failed');
    await noteVmm(sandbox, error);
    await correctDisk(sandbox, context);
    await failpoint('branch.disk-corrected');
    if (done !== undefined) await breakLine(sandbox, draft).catch(() => undefined);
    await draft.abandon(messageOf(error));
    throw error;
  } finally {
    // Of a VM that is gone so is its group.
    if (sandbox.takes('use')) await sandbox.vm.vmm.group?.settle().catch(() => undefined);
  }
}

function tellOf({ context, sandbox, draft }: Capture, pause: PagerPause): void {
  const of = { id: sandbox.id, tag: draft.tag };
  context.emit('sandbox.pause-window', { ...of, ...pause });
  const { armError } = pause;
  if (armError !== undefined) context.emit('sandbox.not-armed', { ...of, armError });
}

/** From above and from below; what QEMU did not tell is left out. */
function timesOf({ pauseUs, eventsUs }: PagerPause): Pick<CaptureFacts, 'pauseMs' | 'stoppedMs'> {
  return { pauseMs: pauseUs / 1000, ...(eventsUs > 0 ? { stoppedMs: eventsUs / 1000 } : {}) };
}

async function requireLivingCapture(sandbox: Sandbox, pause: PagerPause): Promise<void> {
  if (!(await hadEnded(sandbox.vm.vmm.qmp, pause))) return;
  await sandbox.endNoted();
  throw new BoughError('source_died', { id: sandbox.id, reason: 'its guest ended before it was captured' });
}

/** Everything before the pager's work; the guest runs. */
async function prepare({ context, sandbox, draft, spec, memory }: Capture): Promise<PagerBranchRequest> {
  const { record } = sandbox;
  await failpoint('branch.drafted');
  await prepareSpares(context, sandbox);
  await failpoint('branch.overlay-added');
  const live = spec.mode === 'live';
  const files = await lendFiles(sandbox.vm, sandbox.paths, draft, { isDurable: !live });
  await failpoint('branch.prepared');
  const line = live ? lineOn(record, memory) : undefined;
  return {
    mode: spec.mode,
    layerPath: files.layerPath,
    statePath: files.statePath,
    deadlineMs: live ? LIVE_DEADLINE_MS : STOPPED_DEADLINE_MS,
    disk: {
      overlayPath: record.overlay.path,
      tailPath: files.tailPath,
      spares: sparesForPager(sandbox),
    },
    ...compact({
      foldFrom: memory.foldFrom,
      name: live ? draft.id : undefined,
      readyMs: live ? READY_MS : undefined,
      goesOn: line && pagerLine(line),
      durableLayerPath: files.durableLayerPath,
    }),
  };
}

/** After a failure: the disk may have been switched or not, QEMU knows; spares go, used or not. */
async function correctDisk(sandbox: Sandbox, { emit }: HostContext): Promise<void> {
  // One that ended needs none, and one that does not answer is corrected when it is adopted.
  if (!sandbox.takes('reconcile')) return;
  const { record, paths, vm } = sandbox;
  sandbox.spareOverlays.length = 0;
  try {
    await sandbox.update(await reconcileDisk(paths, record, vm.vmm.qmp));
    if (vm.user !== undefined) for (const disk of sandbox.record.disks) await letRead(disk.path, vm.user);
    await removeOtherDisks(paths, sandbox.record);
  } catch (error) {
    emit('sandbox.disk-not-corrected', { id: sandbox.id, err: error });
  }
}

async function publish(
  { context, sandbox, draft, spec, memory, release }: Capture,
  pause: PagerPause,
  capture: PagerCapture,
): Promise<SnapshotView> {
  const { record } = sandbox;
  const logicalBytes = record.machine.memoryMiB * MiB;
  const line =
    spec.mode === 'live'
      ? await extendedLine(context, sandbox, { draft, pause, capture, below: memory, logicalBytes })
      : undefined;
  const snapshot = await draft.publish({
    memory: {
      runs: capture.runs,
      logicalBytes,
      isDurable: spec.mode !== 'live',
    },
    machine: record.machine,
    image: record.image,
    agent: record.agent,
    // After the pause: all names that the guest's memory can have an address of.
    ...compact({ network: context.networks.forChild(sandbox.paths, record.network) }),
    hasTail: true,
    ...timesOf(pause),
    capturedBytes: capture.capturedBytes,
  });
  await letReadOwn(sandbox, line?.layers.at(-1));
  const noted = replaceLine(sandbox, line, {
    branchCount: sandbox.record.branchCount + 1,
    lastBranchMemoryPath: join(snapshot.dir, 'memory.bin'),
  });
  // Nobody waits for the disk with that: the snapshot is there, and the next note has what this one was to say. The branches of a daemon
  // that finds an older record begin a new line.
  noted.catch((err: unknown) => context.emit('sandbox.not-noted', { id: sandbox.id, err }));
  // Whoever sees that it is ready may branch again at once, and goes on from this one.
  release();
  await failpoint('branch.published');
  return snapshot;
}
