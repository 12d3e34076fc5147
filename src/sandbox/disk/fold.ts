/**
 * Keeping the chain of a running sandbox's disk short.
 *
 *   base ◀ frozen ◀ … ◀ frozen ◀ overlay      ──block-stream──▶      base ◀ overlay (holds what was between)
 *
 * Every switch at a branch adds a file to the chain, and so does every generation of branches. QEMU copies what the frozen files
 * hold up into the overlay while the guest runs, and lets go of them. It only ever writes to the overlay, which is the sandbox's
 * own: the frozen files are hard links that snapshots share, and stay as they are.
 *
 * A fold goes on in the background after a branch and yields to the next branch. A branch of a chain that has grown to twice the
 * length all the same folds it first, guest running: so no order of branches makes the chain grow without bound.
 *
 * Invariant: however a fold ends, the record says afterwards what QEMU's disk is. Children that are never branched are not folded:
 * each would copy what they share.
 */
import { stat } from 'node:fs/promises';
import { failpoint, withDeadline } from '../../base/index.js';
import type { HostContext } from '../host/context.js';
import { reconcileDisk, removeOtherDisks } from './reconcile.js';
import type { DiskFold } from '../entity/disk-work.js';
import type { Sandbox } from '../entity/sandbox.js';
import { cancelJobs, runJob } from '../../vmm/index.js';

/** Frozen files in the chain from which on it is folded in the background. */
export const CHAIN_LIMIT = 8;
/** Frozen files in the chain from which on a branch folds it first. */
export const CHAIN_HARD_LIMIT = 2 * CHAIN_LIMIT;

const JOB = 'fold';
const BACKGROUND_DEADLINE_MS = 3_600_000;
/** How long a branch waits for a fold; the chain may hold four times the hard limit before anything refuses it. */
const FOREGROUND_DEADLINE_MS = 60_000;

/** Folds in the background the long chain of a sandbox that is branched. Call when no branch of it is under way. */
export function foldIfLong(context: HostContext, sandbox: Sandbox): void {
  const { disks, branchCount } = sandbox.record;
  if (disks.length < CHAIN_LIMIT || branchCount === 0) return;
  sandbox.foldInBackground(() => startFold(context, sandbox, BACKGROUND_DEADLINE_MS));
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

function startFold(context: HostContext, sandbox: Sandbox, timeoutMs: number): DiskFold {
  const { qmp } = sandbox.vm.vmm;
  const over = fold(context, sandbox, timeoutMs).catch((error: unknown) => {
    if (!sandbox.takes('reconcile') || qmp.closed) return;
    context.emit('sandbox.disk-not-folded', { id: sandbox.id, err: error });
  });
  return {
    over,
    cancel: async () => {
      await cancelJobs(qmp);
      await over;
    },
  };
}

async function fold({ store }: HostContext, sandbox: Sandbox, timeoutMs: number): Promise<void> {
  const { record, paths, vm } = sandbox;
  // A guest whose disk is full is stopped by QEMU: better a long chain than that.
  const neededBytes = await allocatedBytes(record.disks.slice(1).map(({ path }) => path));
  const { freeBytes, reservedBytes } = await store.durableSpace();
  if (neededBytes > freeBytes - reservedBytes) {
    throw new Error(`Folding may take ${neededBytes} bytes, ${freeBytes - reservedBytes} are free`);
  }
  const { qmp } = vm.vmm;
  // The bottom of the chain keeps the node name it was started under: only what lies above it is ever replaced.
  const args = { device: record.overlayNode, 'base-node': 'disk0' };
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

async function allocatedBytes(paths: readonly string[]): Promise<number> {
  const files = await Promise.all(paths.map((path) => stat(path)));
  return files.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}
