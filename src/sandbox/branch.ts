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
import { ResourceStack } from '../base/index.js';
import { BoughError, type BranchMode } from '../contract/index.js';
import { PagerError, type PagerBranchRequest, type PagerCapture, type PagerPause } from '../pager/index.js';
import type { DiskRef, Draft, SnapshotView } from '../store/index.js';
import type { HostContext } from './context.js';
import { newId } from './paths.js';
import type { Sandbox } from './sandbox.js';

const BYTES_PER_MIB = 1024 * 1024;
/** An overlay up to this size is copied inside the pause (0.3 ms per MiB); a larger one is frozen by a switch. */
const TAIL_LIMIT_BYTES = BYTES_PER_MIB;
/** Room for what the guest writes while it is being captured. */
const RESERVE_SLACK_BYTES = 64 * BYTES_PER_MIB;
const LIVE_DEADLINE_MS = 5_000;
const STOPPED_DEADLINE_MS = 300_000;

/** A branch under way. */
export interface BranchUnderWay {
  readonly tag: string;
  /** Resolves when the source runs again; rejects with the branch's failure. */
  readonly running: Promise<PagerPause>;
  /** Resolves when the snapshot is ready; rejects with the branch's failure, after everything is cleaned up. */
  readonly ready: Promise<SnapshotView>;
}

/**
 * Starts a branch. Throws `branch_in_progress`, `sandbox_not_running`, or what the store says of tag and room; then
 * nothing has happened.
 */
export async function startBranch(
  context: HostContext,
  sandbox: Sandbox,
  mode: BranchMode,
  tag: string,
): Promise<BranchUnderWay> {
  sandbox.requireRunning();
  if (sandbox.branching) throw new BoughError('branch_in_progress', { id: sandbox.id });
  sandbox.branching = true;
  try {
    const { record } = sandbox;
    const reserve = (await sandbox.privateBytes()) + RESERVE_SLACK_BYTES;
    const draft = await context.store.draft({
      tag,
      mode,
      branchedFrom: sandbox.id,
      parentTag: record.snapshotTag,
      reserveHotBytes: reserve,
      reserveDurableBytes: reserve,
    });
    const branch = capture(sandbox, draft, mode, context);
    const ready = branch.ready.finally(() => (sandbox.branching = false));
    ready.catch(() => undefined);
    return { tag, running: branch.running, ready };
  } catch (error) {
    sandbox.branching = false;
    throw error;
  }
}

function capture(
  sandbox: Sandbox,
  draft: Draft,
  mode: BranchMode,
  context: HostContext,
): { running: Promise<PagerPause>; ready: Promise<SnapshotView> } {
  const prepared = prepare(sandbox, draft, mode, context);
  const started = prepared.then(({ request }) => sandbox.vm.pager.branch(request));
  const running = started.then(async (branch) => {
    const pause = await branch.running;
    draft.note({ pauseMs: pause.pauseUs / 1000 });
    return pause;
  });
  running.catch(() => undefined);
  const ready = (async () => {
    await using undo = new ResourceStack();
    undo.defer(() => draft.abandon());
    const { next } = await prepared;
    const outcome = await settle(started.then((branch) => branch.done));
    await settleDisk(sandbox, next, outcome);
    if (outcome.capture === undefined) throw outcome.error;
    const snapshot = await publish(sandbox, draft, mode, await running, outcome.capture);
    undo.move();
    return snapshot;
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
  context: HostContext,
): Promise<Prepared> {
  const { record } = sandbox;
  const { size: overlayBytes } = await stat(record.overlay.path);
  const next = overlayBytes > TAIL_LIMIT_BYTES ? await addNextOverlay(sandbox, context) : undefined;
  // A frozen overlay is linked while it is still written to: the link is to the file, whatever it will hold.
  const frozen = next === undefined ? record.disks : [...record.disks, record.overlay];
  await draft.addAncestry({ layers: record.layers, disks: frozen });
  const live = mode === 'live';
  return {
    next,
    request: {
      mode,
      layerPath: draft.memoryPath,
      statePath: draft.vmstatePath,
      deadlineMs: live ? LIVE_DEADLINE_MS : STOPPED_DEADLINE_MS,
      disk: { overlayPath: (next?.disk ?? record.overlay).path, tailPath: draft.tail.path },
      ...(live ? {} : { durableLayerPath: draft.durableMemoryPath }),
      ...(next === undefined ? {} : { before: switchCommand(record.overlayNode, next.node) }),
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

type Outcome = { capture: PagerCapture; error?: undefined } | { capture?: undefined; error: unknown };

function settle(done: Promise<PagerCapture>): Promise<Outcome> {
  return done.then(
    (capture) => ({ capture }),
    (error: unknown) => ({ error }),
  );
}

/** After the pager's work: what the source's disk is now, whether the branch succeeded or not. */
async function settleDisk(sandbox: Sandbox, next: NextOverlay | undefined, outcome: Outcome): Promise<void> {
  if (next === undefined) return;
  const { record, vm } = sandbox;
  const switched =
    outcome.capture !== undefined || (outcome.error instanceof PagerError && outcome.error.switched);
  if (switched) {
    await sandbox.update({
      disks: [...record.disks, record.overlay],
      overlay: next.disk,
      overlayNode: next.node,
      switchCount: record.switchCount + 1,
    });
    return;
  }
  if (sandbox.state !== 'running') return;
  await vm.vmm.qmp.execute('blockdev-del', { 'node-name': next.node });
  await rm(next.disk.path, { force: true });
}

async function publish(
  sandbox: Sandbox,
  draft: Draft,
  mode: BranchMode,
  pause: PagerPause,
  captured: PagerCapture,
): Promise<SnapshotView> {
  const { record } = sandbox;
  const snapshot = await draft.publish({
    memory: {
      runs: captured.runs,
      logicalBytes: record.machine.memoryMiB * BYTES_PER_MIB,
      isDurable: mode !== 'live',
    },
    machine: record.machine,
    image: record.image,
    agent: record.agent,
    hasTail: true,
    pauseMs: pause.pauseUs / 1000,
    capturedBytes: captured.capturedBytes,
  });
  await sandbox.update({
    branchCount: sandbox.record.branchCount + 1,
    lastBranchMemoryPath: join(snapshot.dir, 'memory.bin'),
  });
  return snapshot;
}
