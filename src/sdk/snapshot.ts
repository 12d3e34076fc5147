/** Calls about snapshots. */

import type { CreateSnapshotRequest, Snapshot, SnapshotInfo } from '../contract/index.js';
import type { CallOptions, Transport } from './transport.js';

/** `bough.snapshots` */
export class Snapshots {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Every snapshot, each tag once; one that is being written is listed as `writing`. */
  list(options?: CallOptions): Promise<Snapshot[]> {
    return this.#transport.call('listSnapshots', options);
  }

  /** One snapshot. */
  get(tag: string, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('getSnapshot', { ...options, params: { tag } });
  }

  /** One snapshot with its sizes, in bytes, and its lineage. */
  info(tag: string, options?: CallOptions): Promise<SnapshotInfo> {
    return this.#transport.call('snapshotInfo', { ...options, params: { tag } });
  }

  /** Boots and captures; takes as long as the guest needs to boot, a minute without hardware acceleration. */
  create(request: CreateSnapshotRequest, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('createSnapshot', { ...options, body: request });
  }

  /** Deletes one, with at most one of `cascade` (its dependents too) and `force` (although it has some). */
  async delete(
    tag: string,
    { cascade, force, ...options }: CallOptions & { cascade?: boolean; force?: boolean } = {},
  ): Promise<void> {
    await this.#transport.call('deleteSnapshot', { ...options, params: { tag }, query: { cascade, force } });
  }

  /** Folds the snapshot and its ancestors into a new one named `to`. */
  compact(tag: string, to: string, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('compactSnapshot', { ...options, params: { tag }, body: { to } });
  }
}
