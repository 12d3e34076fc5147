/** Timelines of a host without VMs: a rollback changes what a sandbox stands at. */
import { compact } from '../../src/base/index.js';
import { BoughError } from '../../src/contract/index.js';
import type { TimelinesHost } from '../../src/sandbox/host/timelines.js';
import { checkpointsOf, newestCheckpoint } from '../../src/sandbox/timeline/checkpoint.js';
import type { CheckpointSchedule } from '../../src/sandbox/entity/record.js';
import type { SandboxView } from '../../src/sandbox/entity/view.js';
import type { SnapshotView } from '../../src/store/index.js';

/** What a fake host is made of; `add` makes a snapshot. */
export interface FakeEntries {
  readonly snapshots: ReadonlyMap<string, SnapshotView>;
  readonly sandboxes: Map<string, SandboxView>;
  readonly find: (id: string) => SandboxView;
  readonly add: (tag: string, more: Partial<SnapshotView>) => SnapshotView;
}

/** The mark of a fake's checkpoints. */
export const FAKE_CHECKPOINT = { atUnixMs: 1_700_000_000_000, atBootMs: 1, bootId: 'boot' };

export function fakeTimelines({ snapshots, sandboxes, find, add }: FakeEntries): TimelinesHost {
  const schedules = new Map<string, CheckpointSchedule>();
  const scheduleOf = (id: string) => compact({ schedule: schedules.get(find(id).id) });
  return {
    list: (id) =>
      answered(() => {
        const { id: known, snapshotTag } = find(id);
        return checkpointsOf([...snapshots.values()], known).map((snapshot) => ({
          ...{ snapshot, atUnixMs: FAKE_CHECKPOINT.atUnixMs, bytes: 4096, isThinnedOut: false },
          isOrigin: snapshot.tag === snapshotTag,
        }));
      }),
    schedule: (id) => answered(() => scheduleOf(id)),
    setSchedule: (id, schedule) =>
      answered(() => {
        if (schedule === undefined) schedules.delete(find(id).id);
        else schedules.set(find(id).id, schedule);
        return scheduleOf(id);
      }),
    rollback: (id, { tag, keep, keepTag = 'before-made-up' }) =>
      answered(() => {
        const found = find(id);
        const target = tag ?? newestCheckpoint([...snapshots.values()], found.id)?.tag;
        if (target === undefined) throw new BoughError('no_checkpoint', { id: found.id });
        if (!snapshots.has(target)) throw new BoughError('snapshot_not_found', { tag: target });
        const retention = { ordinal: snapshots.size, checkpoint: FAKE_CHECKPOINT };
        const kept = keep ? add(keepTag, { branchedFrom: found.id, pauseMs: 1.25, retention }) : undefined;
        const sandbox = { ...found, snapshotTag: target };
        sandboxes.set(sandbox.id, sandbox);
        return { sandbox, ...(kept && { kept }) };
      }),
  };
}

/** What `work` throws becomes a rejection. */
const answered = <T>(work: () => T): Promise<T> => new Promise((resolve) => resolve(work()));
