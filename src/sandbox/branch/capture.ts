/**
 * Branching a running sandbox: one capture of memory, devices and disk, from which children can start.
 *
 *   draft (listed as writing) -> ancestry linked -> next overlay prepared, if needed -> pager: branch -> publish
 *
 * The disk: the snapshot's chain is what lies frozen below the source's overlay, and as its top the overlay's bytes at
 * the pause (the tail). An overlay too large to copy in a pause is first frozen itself, by a switch to an empty one
 * while the guest runs; so the source's chain grows with what it writes, not with how often it is branched.
 *
 * Invariant: whatever fails, the source runs, and nothing of the snapshot is left or listed.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { compact, failpoint, messageOf, MiB } from '../../base/index.js';
import type { BranchMode } from '../../contract/index.js';
import {
  PagerDisconnected,
  PagerError,
  type PagerBranchRequest,
  type PagerCapture,
  type PagerPause,
} from '../../pager/index.js';
import { QmpDisconnected, QmpTimeout } from '../../qmp/index.js';
import type { DiskRef, Draft, RequestKey, Retention, SnapshotView } from '../../store/index.js';
import type { HostContext } from '../host/context.js';
import { foldIfLong, makeRoomInChain } from '../disk/fold.js';
import { layersBelow, type LayersBelow } from './lineage.js';
import { newId } from '../entity/paths.js';
import { reconcileDisk, removeOtherDisks } from '../disk/reconcile.js';
import type { Sandbox } from '../entity/sandbox.js';
import { VmmSilent } from '../../vmm/index.js';

/** An overlay up to this size is copied inside the pause (0.3 ms per MiB); a larger one is frozen by a switch. */
const TAIL_LIMIT_BYTES = MiB;
/** Room for what the guest writes while it is being captured. */
const RESERVE_SLACK_BYTES = 64 * MiB;
const LIVE_DEADLINE_MS = 5_000;
const STOPPED_DEADLINE_MS = 300_000;
/** The pager keeps its own deadlines; this is for one that never will. */
const LONGEST_BRANCH_MS = 3 * STOPPED_DEADLINE_MS;

/** A branch under way. */
export interface BranchUnderWay {
  readonly tag: string;
  /** Resolves when the source runs again; rejects with the branch's failure. */
  readonly running: Promise<PagerPause>;
  /** Resolves when the snapshot is ready; rejects with the branch's failure, after everything is cleaned up. */
  readonly ready: Promise<SnapshotView>;
}

/** What to capture. */
export interface BranchPlan {
  readonly mode: BranchMode;
  readonly tag: string;
  /** The caller is told the tag as soon as the source runs: from then on a failure is listed, not undone. */
  readonly announce: boolean;
  readonly retention?: Retention | undefined;
  readonly requestKey?: RequestKey | undefined;
}

/**
 * Starts a branch. Throws `branch_in_progress`, `sandbox_not_running`, or what the store says of tag and room; then
 * nothing has happened.
 */
export async function startBranch(
  context: HostContext,
  sandbox: Sandbox,
  plan: BranchPlan,
): Promise<BranchUnderWay> {
  const { mode, tag } = plan;
  const release = sandbox.claimForBranch();
  try {
    await makeRoomInChain(context, sandbox);
    const { record } = sandbox;
    const memory = layersBelow(record.layers, mode);
    const reserve = (await sandbox.privateBytes()) + memory.copiedBytes + RESERVE_SLACK_BYTES;
    const draft = await context.store.draft({
      tag,
      mode,
      branchedFrom: sandbox.id,
      parentTag: record.snapshotTag,
      retention: plan.retention,
      requestKey: plan.requestKey,
      reserveHotBytes: reserve,
      reserveDurableBytes: reserve,
    });
    const branch = capture(sandbox, draft, plan, memory, context, release);
    const ready = branch.ready.finally(() => {
      release();
      foldIfLong(context, sandbox);
    });
    ready.catch(() => undefined);
    return { tag, running: branch.running, ready };
  } catch (error) {
    await noteVmm(sandbox, error);
    release();
    throw error;
  }
}

/** How the end of QEMU looks from within it. */
const LOST = new Set(['ECONNRESET', 'EPIPE', 'EREMOTEIO', 'ENOTCONN']);

/** What a failure tells of the VMM: it has ended, or it has stopped to answer. */
async function noteVmm(sandbox: Sandbox, error: unknown): Promise<void> {
  const isLost = error instanceof PagerDisconnected || error instanceof QmpDisconnected;
  // A pager that lost QEMU's QMP tells the same in its own words.
  if (isLost || (error instanceof PagerError && LOST.has(error.errnoName))) await sandbox.endNoted();
  if (isLost || error instanceof VmmSilent || error instanceof QmpTimeout)
    await sandbox.fallSilent(error.message);
}

function capture(
  sandbox: Sandbox,
  draft: Draft,
  { mode, announce }: BranchPlan,
  memory: LayersBelow,
  context: HostContext,
  release: () => void,
): { running: Promise<PagerPause>; ready: Promise<SnapshotView> } {
  const prepared = prepare(sandbox, draft, mode, memory, context);
  const started = prepared.then(({ request }) => sandbox.vm.pager.branch(request));
  const done = started.then((branch) => sandbox.vm.vmm.whileAnswering(branch.done, LONGEST_BRANCH_MS));
  done.catch(() => undefined);
  const running = started.then(async (branch) => {
    await failpoint('branch.requested');
    const pause = await Promise.race([branch.running, done.then(() => branch.running)]);
    await failpoint('branch.running');
    draft.note({ pauseMs: pause.pauseUs / 1000 });
    context.log('info', 'sandbox.pause-window', { id: sandbox.id, tag: draft.tag, ...pause });
    if (announce) await draft.announce();
    return pause;
  });
  running.catch(() => undefined);
  const ready = (async () => {
    try {
      const { next } = await prepared;
      const captured = await done;
      await failpoint('branch.captured');
      if (next !== undefined) await noteSwitch(sandbox, next);
      await failpoint('branch.switch-noted');
      return await publish(sandbox, draft, mode, await running, captured, release, context);
    } catch (error) {
      await failpoint('branch.failed');
      await noteVmm(sandbox, error);
      await correctDisk(sandbox, context);
      await failpoint('branch.disk-corrected');
      await draft.abandon(messageOf(error));
      throw error;
    }
  })();
  return { running, ready };
}

interface Prepared {
  readonly request: PagerBranchRequest;
  /** The overlay the VM is switched to, and its node. */
  readonly next: NextOverlay | undefined;
}

interface NextOverlay {
  readonly disk: DiskRef;
  readonly node: string;
}

/** Everything before the pager's work; the guest runs. */
async function prepare(
  sandbox: Sandbox,
  draft: Draft,
  mode: BranchMode,
  memory: LayersBelow,
  context: HostContext,
): Promise<Prepared> {
  const { record } = sandbox;
  await failpoint('branch.drafted');
  const { size: overlayBytes } = await stat(record.overlay.path);
  const next = overlayBytes > TAIL_LIMIT_BYTES ? await addNextOverlay(sandbox, context) : undefined;
  // A frozen overlay is linked while it is still written to: the link is to the file, whatever it will hold.
  const frozen = next === undefined ? record.disks : [...record.disks, record.overlay];
  await failpoint('branch.overlay-added');
  await draft.addAncestry({ layers: memory.layers, disks: frozen });
  await failpoint('branch.prepared');
  const live = mode === 'live';
  return {
    next,
    request: {
      mode,
      layerPath: draft.memoryPath,
      statePath: draft.vmstatePath,
      deadlineMs: live ? LIVE_DEADLINE_MS : STOPPED_DEADLINE_MS,
      disk: { overlayPath: (next?.disk ?? record.overlay).path, tailPath: draft.tail.path },
      ...compact({
        foldFrom: memory.foldFrom,
        durableLayerPath: live ? undefined : draft.durableMemoryPath,
        before: next && switchCommand(record.overlayNode, next.node),
      }),
    },
  };
}

function switchCommand(node: string, overlay: string): { execute: string; arguments: object } {
  return { execute: 'blockdev-snapshot', arguments: { node, overlay } };
}

/** Makes the next overlay and adds its nodes, so that the switch itself is one quick command. */
async function addNextOverlay(sandbox: Sandbox, context: HostContext): Promise<NextOverlay> {
  const { record, vm, paths } = sandbox;
  const node = `overlay${record.switchCount + 1}`;
  const path = join(paths.stateDir, 'disk', `${node}.qcow2`);
  const { size: diskBytes } = await stat((record.disks[0] ?? record.overlay).path);
  await rm(path, { force: true });
  await context.overlays.create(path, diskBytes);
  const cache = { 'no-flush': true };
  await vm.vmm.qmp.execute('blockdev-add', {
    driver: 'qcow2',
    'node-name': node,
    file: { driver: 'file', 'node-name': `${node}-file`, filename: path, cache },
    backing: null,
    cache,
  });
  return { node, disk: { id: newId(), format: 'qcow2', path } };
}

async function noteSwitch(sandbox: Sandbox, next: NextOverlay): Promise<void> {
  const { record } = sandbox;
  await sandbox.update({
    disks: [...record.disks, record.overlay],
    overlay: next.disk,
    overlayNode: next.node,
    switchCount: record.switchCount + 1,
  });
}

/** After a failure: the switch may have happened or not, QEMU knows; a next overlay that was not used goes. */
async function correctDisk(sandbox: Sandbox, { log }: HostContext): Promise<void> {
  // One that ended needs none, and one that does not answer is corrected when it is adopted.
  if (sandbox.state !== 'running' || sandbox.isBeingRemoved) return;
  const { record, paths, vm } = sandbox;
  try {
    await sandbox.update(await reconcileDisk(paths, record, vm.vmm.qmp));
    await removeOtherDisks(paths, sandbox.record);
  } catch (error) {
    log('warn', 'sandbox.disk-not-corrected', { id: sandbox.id, err: error });
  }
}

async function publish(
  sandbox: Sandbox,
  draft: Draft,
  mode: BranchMode,
  pause: PagerPause,
  captured: PagerCapture,
  release: () => void,
  context: HostContext,
): Promise<SnapshotView> {
  const { record } = sandbox;
  const snapshot = await draft.publish({
    memory: {
      runs: captured.runs,
      logicalBytes: record.machine.memoryMiB * MiB,
      isDurable: mode !== 'live',
    },
    machine: record.machine,
    image: record.image,
    agent: record.agent,
    hasTail: true,
    pauseMs: pause.pauseUs / 1000,
    capturedBytes: captured.capturedBytes,
  });
  // Whoever sees that it is ready may branch again at once.
  release();
  try {
    await failpoint('branch.published');
    await sandbox.update({
      branchCount: sandbox.record.branchCount + 1,
      lastBranchMemoryPath: join(snapshot.dir, 'memory.bin'),
    });
  } catch (err) {
    // The snapshot is there; the next note has what this one was to say.
    context.log('warn', 'sandbox.not-noted', { id: sandbox.id, err });
  }
  return snapshot;
}
