/** Checkpoints: the snapshots that are points on the timeline of the sandbox they were branched from. Pure. */
import type { SnapshotView } from '../../store/index.js';

/** Those of a sandbox that can be gone back to, or soon can; oldest first. */
export function checkpointsOf(views: readonly SnapshotView[], sandboxId: string): SnapshotView[] {
  return views
    .filter(
      ({ branchedFrom, status, retention }) =>
        branchedFrom === sandboxId && status !== 'failed' && retention?.checkpoint !== undefined,
    )
    .sort(byAge);
}

/** Undefined where there is none. */
export function newestCheckpoint(
  views: readonly SnapshotView[],
  sandboxId: string,
): SnapshotView | undefined {
  return checkpointsOf(views, sandboxId).at(-1);
}

/** By the count of branches, which no clock can step back; a daemon that was killed may have counted one twice. */
function byAge(a: SnapshotView, b: SnapshotView): number {
  const ordinals = (a.retention?.ordinal ?? 0) - (b.retention?.ordinal ?? 0);
  if (ordinals !== 0) return ordinals;
  return (a.retention?.checkpoint?.atUnixMs ?? 0) - (b.retention?.checkpoint?.atUnixMs ?? 0);
}
