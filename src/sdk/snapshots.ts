/** Calls about snapshots. */

import type { CreateSnapshotRequest, Snapshot, SnapshotInfo } from '../contract/index.js';
import { eachOf, MAX_PAGE, type PageOptions } from './pages.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * `bough.snapshots`: what sandboxes start from, and what branching them makes.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const { tag } = await sandbox.branch();
 * await bough.snapshots.delete(tag);
 * ```
 */
export class Snapshots {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Every snapshot, each tag once, or a page of them; one that is being written is listed as `writing`.
   *
   * @example
   * ```ts
   * console.log((await bough.snapshots.list()).map(({ tag }) => tag)); // [ 'base' ]
   * ```
   */
  list({ limit, after, ...options }: PageOptions = {}): Promise<Snapshot[]> {
    return this.#transport.call('listSnapshots', { ...options, query: { limit, after } });
  }

  /**
   * Every snapshot, oldest first, fetched page by page.
   *
   * @example
   * ```ts
   * for await (const { tag } of bough.snapshots.each({ limit: 50 })) console.log(tag); // base
   * ```
   */
  each({ limit, after, ...options }: PageOptions = {}): AsyncGenerator<Snapshot, void, undefined> {
    return eachOf(after, (from) => {
      const query = { limit: limit ?? MAX_PAGE, after: from };
      return this.#transport.page('listSnapshots', { ...options, query });
    });
  }

  /**
   * One snapshot.
   *
   * @example
   * ```ts
   * console.log((await bough.snapshots.get('base')).status); // ready
   * ```
   */
  get(tag: string, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('getSnapshot', { ...options, params: { tag } });
  }

  /**
   * One snapshot with its sizes, in bytes, and its lineage.
   *
   * @example
   * ```ts
   * const { memory_physical_bytes, ancestors } = await bough.snapshots.info('base');
   * console.log(memory_physical_bytes, ancestors); // 512 []
   * ```
   */
  info(tag: string, options?: CallOptions): Promise<SnapshotInfo> {
    return this.#transport.call('snapshotInfo', { ...options, params: { tag } });
  }

  /**
   * Boots and captures; takes as long as the guest needs to boot, a minute without hardware acceleration.
   *
   * @example
   * ```ts
   * const made = await bough.snapshots.create({ tag: 'python', image: 'python-numpy' });
   * console.log(made.tag); // python
   * ```
   */
  create(request: CreateSnapshotRequest, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('createSnapshot', { ...options, body: request });
  }

  /**
   * Deletes one, with at most one of `cascade` (its dependents too) and `force` (although it has some). Rejects with code
   * `snapshot_in_use` when something holds it.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.branch({ tag: 'point' });
   * await bough.snapshots.delete('point');
   * ```
   */
  async delete(
    tag: string,
    { cascade, force, ...options }: CallOptions & { cascade?: boolean; force?: boolean } = {},
  ): Promise<void> {
    await this.#transport.call('deleteSnapshot', { ...options, params: { tag }, query: { cascade, force } });
  }

  /**
   * Folds the snapshot and its ancestors into a new one named `to`.
   *
   * @example
   * ```ts
   * const flat = await bough.snapshots.compact('base', 'flat');
   * console.log(flat.tag, flat.parent_tag); // flat undefined
   * ```
   */
  compact(tag: string, to: string, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('compactSnapshot', { ...options, params: { tag }, body: { to } });
  }
}
