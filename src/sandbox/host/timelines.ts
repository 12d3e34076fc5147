/** Timelines of sandboxes, as the outside sees them. */
import { compact } from '../../base/index.js';
import { freedBytes, SnapshotNotFound, type SnapshotView } from '../../store/index.js';
import type { CheckpointSchedule } from '../entity/record.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { SandboxView } from '../entity/view.js';
import { checkpointsOf } from '../timeline/checkpoint.js';
import type { Rollbacks, RollbackSpec } from '../timeline/rollback.js';
import type { ScheduledCheckpoints } from '../timeline/schedule.js';
import { ownCall, type CallContext } from './call.js';
import type { HostContext } from './context.js';
import type { Requests } from './requests.js';

export interface TimelinesHost {
  /** On any failure the sandbox runs on as it was. */
  rollback(id: string, spec: RollbackSpec, call: CallContext): Promise<RollbackView>;
  /** Its checkpoints, oldest first. */
  list(id: string, call: CallContext): Promise<TimelinePoint[]>;
  schedule(id: string, call: CallContext): Promise<ScheduleView>;
  /** Takes one at once, and then one at every interval; none any more without a schedule. */
  setSchedule(id: string, schedule: CheckpointSchedule | undefined, call: CallContext): Promise<ScheduleView>;
}

/** A point to go back to. */
export interface TimelinePoint {
  readonly snapshot: SnapshotView;
  readonly atUnixMs: number;
  /** What its removal would free. */
  readonly bytes: number;
  /** It goes by itself. */
  readonly isThinnedOut: boolean;
  /** The sandbox was taken back to it, and has not been to another since. */
  readonly isOrigin: boolean;
}

export interface ScheduleView {
  readonly schedule?: CheckpointSchedule;
  /** Why the last one was not taken. */
  readonly warning?: string;
}

export interface RollbackView {
  readonly sandbox: SandboxView;
  readonly kept?: SnapshotView;
}

export class Timelines implements TimelinesHost {
  readonly #context: HostContext;
  readonly #rollbacks: Rollbacks;
  readonly #checkpoints: ScheduledCheckpoints<Sandbox>;
  readonly #requests: Requests;

  constructor(
    context: HostContext,
    rollbacks: Rollbacks,
    checkpoints: ScheduledCheckpoints<Sandbox>,
    requests: Requests,
  ) {
    this.#context = context;
    this.#rollbacks = rollbacks;
    this.#checkpoints = checkpoints;
    this.#requests = requests;
  }

  async rollback(id: string, spec: RollbackSpec, call: CallContext = ownCall()): Promise<RollbackView> {
    return this.#requests.once(call.key, () => this.#rollback(id, spec, call));
  }

  async #rollback(id: string, spec: RollbackSpec, call: CallContext): Promise<RollbackView> {
    const { store, sandboxes } = this.#context;
    const found = sandboxes.get(id);
    const done = this.#requests.rolledBack(call.key);
    if (done !== undefined) {
      const kept = store.list().find(({ tag }) => tag === done.keptTag);
      return { sandbox: found.view(), ...compact({ kept }) };
    }
    // What an attempt has kept that a daemon did not live to finish: the sandbox has gone on since.
    const left = this.#requests.snapshotOf(call.key);
    if (left !== undefined) await store.remove(left.tag);
    const { sandbox, ...rest } = await found.lifetime.during(() => this.#rollbacks.run(found, spec, call));
    return { sandbox: sandbox.view(), ...rest };
  }

  async list(id: string): Promise<TimelinePoint[]> {
    const { store, sandboxes } = this.#context;
    const sandbox = sandboxes.get(id);
    const points: TimelinePoint[] = [];
    for (const snapshot of checkpointsOf(store.list(), sandbox.id)) {
      const { tag, retention } = snapshot;
      // One that is removed meanwhile is none any more.
      const files = await store.files(tag).catch(ignoring(SnapshotNotFound));
      if (files === undefined || retention?.checkpoint === undefined) continue;
      points.push({
        ...{ snapshot, bytes: freedBytes([{ files }])[0] ?? 0 },
        atUnixMs: retention.checkpoint.atUnixMs,
        isThinnedOut: retention.checkpoint.thinning !== undefined,
        isOrigin: sandbox.record.snapshotTag === tag,
      });
    }
    return points;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is asynchronous for remote hosts
  async schedule(id: string): Promise<ScheduleView> {
    const sandbox = this.#context.sandboxes.get(id);
    const { checkpoints: schedule } = sandbox.record;
    return compact({ schedule, warning: this.#checkpoints.warningOf(sandbox.id) });
  }

  async setSchedule(id: string, schedule: CheckpointSchedule | undefined): Promise<ScheduleView> {
    const sandbox = this.#context.sandboxes.get(id);
    sandbox.require('schedule');
    await sandbox.update({ checkpoints: schedule });
    return this.schedule(id);
  }
}

/** Undefined in place of an error of that kind. */
function ignoring(kind: new (...args: never[]) => Error): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof kind)) throw error;
    return undefined;
  };
}
