/** The timeline of one sandbox. */

import type {
  BranchRequestInput,
  Checkpoints,
  CheckpointsRequestInput,
  RollbackRequestInput,
  RolledBack,
  Snapshot,
  TimelinePoint,
} from '../contract/index.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * `sandbox.timeline`: points to go back to, and going back in place.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * await sandbox.timeline.checkpoint({ tag: 'clean' });
 * await sandbox.exec(['rm', '-rf', '/srv']);
 * const { kept } = await sandbox.timeline.undo();
 * console.log((await sandbox.info()).snapshot_tag, kept?.checkpoint); // clean true
 * ```
 */
export class SandboxTimeline {
  readonly #transport: Transport;
  readonly #params: { readonly id: string };

  constructor(transport: Transport, sandboxId: string) {
    this.#transport = transport;
    this.#params = { id: sandboxId };
  }

  /**
   * Captures the sandbox, which keeps running, as a point that `undo` goes back to.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { tag, checkpoint } = await sandbox.timeline.checkpoint({ tag: 'before-the-upgrade' });
   * console.log(tag, checkpoint); // before-the-upgrade true
   * ```
   */
  checkpoint(request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    const body = { ...request, checkpoint: true };
    return this.#transport.call('branch', { ...options, params: this.#params, body });
  }

  /**
   * Takes the sandbox to a snapshot, of whatever sandbox, in place: id, name, URLs, policy and end stay; memory, disk and programs are
   * those of the snapshot. The state of before is kept as a checkpoint unless `keep` is false. On any failure it runs on as it was; calls
   * under way in its guest reject with code `sandbox_rolled_back`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const child = await bough.spawn((await sandbox.branch()).tag);
   * const { tag } = await child.branch({ tag: 'winner' });
   * const { sandbox: now } = await sandbox.timeline.rollback(tag, { keep: false });
   * console.log(now.id === sandbox.id, now.snapshot_tag); // true winner
   * ```
   */
  rollback(
    tag: string,
    request: Omit<RollbackRequestInput, 'tag'> = {},
    options?: CallOptions,
  ): Promise<RolledBack> {
    return this.#rollback({ ...request, tag }, options);
  }

  /**
   * The same to the newest checkpoint. The state of before is one then: undoing the undo goes forward again. Rejects with code
   * `no_checkpoint` where there is none.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.timeline.checkpoint({ tag: 'one' });
   * await sandbox.timeline.undo({ keep_tag: 'two' });
   * const { sandbox: now } = await sandbox.timeline.undo();
   * console.log(now.snapshot_tag); // two
   * ```
   */
  undo(request: Omit<RollbackRequestInput, 'tag'> = {}, options?: CallOptions): Promise<RolledBack> {
    return this.#rollback(request, options);
  }

  /**
   * Its checkpoints, oldest first, with what each takes.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.timeline.checkpoint({ tag: 'one' });
   * const [first] = await sandbox.timeline.list();
   * console.log(first?.tag, first?.bytes); // one 4096
   * ```
   */
  list(options?: CallOptions): Promise<TimelinePoint[]> {
    return this.#transport.call('timeline', { ...options, params: this.#params });
  }

  /**
   * How often a checkpoint is taken by itself, and which of them stay.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * console.log((await sandbox.timeline.schedule()).schedule); // null
   * ```
   */
  schedule(options?: CallOptions): Promise<Checkpoints> {
    return this.#transport.call('getCheckpoints', { ...options, params: this.#params });
  }

  /**
   * Has a checkpoint taken at every interval from now on, and thinned out with age. It goes on after a restart of the daemon.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const keep = [{ within_secs: 60 }, { within_secs: 3600, every_secs: 60 }];
   * const { schedule } = await sandbox.timeline.setSchedule({ every_secs: 1, keep });
   * console.log(schedule?.keep.length); // 2
   * ```
   */
  setSchedule(request: CheckpointsRequestInput, options?: CallOptions): Promise<Checkpoints> {
    return this.#transport.call('setCheckpoints', { ...options, params: this.#params, body: request });
  }

  /**
   * Has none taken by itself any more. Those there are stay as long as they would have.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.timeline.setSchedule({ every_secs: 60 });
   * await sandbox.timeline.removeSchedule();
   * ```
   */
  async removeSchedule(options?: CallOptions): Promise<void> {
    await this.#transport.call('removeCheckpoints', { ...options, params: this.#params });
  }

  #rollback(body: RollbackRequestInput, options: CallOptions | undefined): Promise<RolledBack> {
    return this.#transport.call('rollback', { ...options, params: this.#params, body });
  }
}
