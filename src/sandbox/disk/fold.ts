/**
 * Keeping the chain of a running sandbox's disk short.
 *
 *   base ◀ 64 ◀ 8 ◀ 8 ◀ 8 ◀ overlay      ──block-stream──▶      base ◀ 64 ◀ overlay (holds what was between)
 *
 * Every switch at a branch adds a file to the chain, and so does every generation of branches. QEMU copies what the upper frozen files
 * hold up into the overlay while the guest runs, and lets go of them: those that are small beside what lies below them, see merging.ts, so
 * that a byte is not copied again with every fold. It only ever writes to the overlay, which is the sandbox's own: the frozen files are hard
 * links that snapshots share, and stay as they are.
 *
 * A fold goes on in the background after a branch and yields to the next branch. What it has copied by then stays in the overlay, and in
 * that branch's snapshot; so the next one waits first, longer than the one that had to yield has run. A branch of a chain that has grown to
 * twice the length folds it first, guest running: no order of branches makes the chain grow without bound.
 *
 * Invariant: however a fold ends, the record says afterwards what QEMU's disk is. Children that are never branched are not folded:
 * each would copy what they share.
 */
import { stat } from 'node:fs/promises';
import { failpoint, monotonicMs, sleep, withDeadline } from '../../base/index.js';
import type { HostContext } from '../host/context.js';
import { reconcileDisk, removeOtherDisks } from './reconcile.js';
import type { DiskFold } from '../entity/disk-work.js';
import type { Sandbox } from '../entity/sandbox.js';
import { cancelJobs, readDiskState, runJob } from '../../vmm/index.js';
import { mergedFrom } from './merging.js';

/** Frozen files in the chain from which on it is folded in the background. */
export const CHAIN_LIMIT = 8;
/** Frozen files in the chain from which on a branch folds it first. */
export const CHAIN_HARD_LIMIT = 2 * CHAIN_LIMIT;

const JOB = 'fold';
const BACKGROUND_DEADLINE_MS = 3_600_000;
/** How long a branch waits for a fold; the chain may hold four times the hard limit before anything refuses it. */
const FOREGROUND_DEADLINE_MS = 60_000;

/** A removal, and the end of the daemon, wait as long. */
const LONGEST_PATIENCE_MS = 2_000;
/** How long the next fold waits of those whose latest had to yield. */
const patienceMs = new WeakMap<Sandbox, number>();

/** Whether the chain of a sandbox that is branched is to be folded in the background. */
function isLongChain(sandbox: Sandbox): boolean {
  const { disks, branchCount } = sandbox.record;
  return disks.length >= CHAIN_LIMIT && branchCount > 0;
}

/** Begins to fold such a chain. Call when no branch of the sandbox is under way. */
export const beginFold = (context: HostContext, sandbox: Sandbox): DiskFold =>
  startFold(context, sandbox, BACKGROUND_DEADLINE_MS, patienceMs.get(sandbox));

/** Folds the chain in the background if it is long. */
export function foldIfLong(context: HostContext, sandbox: Sandbox): void {
  if (isLongChain(sandbox)) sandbox.foldInBackground(() => beginFold(context, sandbox));
}

/** Before a branch: ends the fold under way, and folds the chain of a sandbox that was never left alone long enough. */
export async function makeRoomInChain(context: HostContext, sandbox: Sandbox): Promise<void> {
  const isTooLong = (): boolean => sandbox.record.disks.length >= CHAIN_HARD_LIMIT;
  const { fold } = sandbox;
  if (fold !== undefined && isTooLong())
    await withDeadline(fold.over, FOREGROUND_DEADLINE_MS, 'Folding the disk').catch(() => undefined);
  await sandbox.fold?.cancel();
  if (isTooLong()) await startFold(context, sandbox, FOREGROUND_DEADLINE_MS).over;
}

function startFold(context: HostContext, sandbox: Sandbox, timeoutMs: number, waitMs = 0): DiskFold {
  const { qmp } = sandbox.vm.vmm;
  const yielding = new AbortController();
  let beganMs: number | undefined;
  const run = async (): Promise<void> => {
    if (waitMs > 0) await sleep(waitMs, AbortSignal.any([yielding.signal, sandbox.removalBegun]));
    beganMs = monotonicMs();
    await fold(context, sandbox, timeoutMs);
    if (!yielding.signal.aborted) patienceMs.delete(sandbox);
  };
  const over = run().catch((error: unknown) => {
    if (beganMs === undefined || !sandbox.takes('reconcile') || qmp.closed) return;
    context.emit('sandbox.disk-not-folded', { id: sandbox.id, err: error });
  });
  return {
    over,
    cancel: async () => {
      yielding.abort();
      if (beganMs !== undefined)
        patienceMs.set(sandbox, Math.min(2 * (monotonicMs() - beganMs), LONGEST_PATIENCE_MS));
      await cancelJobs(qmp);
      await over;
    },
  };
}

async function fold({ store }: HostContext, sandbox: Sandbox, timeoutMs: number): Promise<void> {
  const { record, paths, vm } = sandbox;
  const { qmp } = vm.vmm;
  const { baseNode, bytes } = await whatToFold(sandbox);
  // A guest whose disk is full is stopped by QEMU: better a long chain than that.
  const { freeBytes, reservedBytes } = await store.durableSpace();
  if (bytes > freeBytes - reservedBytes) {
    throw new Error(`Folding may take ${bytes} bytes, ${freeBytes - reservedBytes} are free`);
  }
  const args = { device: record.overlayNode, 'base-node': baseNode };
  try {
    await failpoint('fold.begun');
    await runJob(qmp, JOB, 'block-stream', args, { timeoutMs });
    await failpoint('fold.streamed');
  } finally {
    sandbox.spareOverlays.length = 0;
    await sandbox.update(await reconcileDisk(paths, sandbox.record, qmp));
    await failpoint('fold.noted');
    await removeOtherDisks(paths, sandbox.record);
  }
}

/** What the overlay is to stand on afterwards, and how much may be copied into it. The bottom of the chain always stays. */
async function whatToFold({ vm }: Sandbox): Promise<{ readonly baseNode: string; readonly bytes: number }> {
  const { chain } = await readDiskState(vm.vmm.qmp);
  const sizes = await Promise.all(chain.slice(1).map(({ path }) => allocatedBytes(path)));
  const from = mergedFrom(sizes);
  const bytes = sizes.slice(from, -1).reduce((sum, each) => sum + each, 0);
  return { baseNode: chain[from]?.node ?? '', bytes };
}

async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}
