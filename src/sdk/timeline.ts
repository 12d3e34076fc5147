/** The timeline of one sandbox. */

import type { BranchRequestInput, RolledBack, RollbackRequestInput, Snapshot } from '../contract/index.js';
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

  #rollback(body: RollbackRequestInput, options: CallOptions | undefined): Promise<RolledBack> {
    return this.#transport.call('rollback', { ...options, params: this.#params, body });
  }
}
