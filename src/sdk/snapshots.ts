/** Calls about snapshots. */

import type { CreateSnapshotRequest, Snapshot, SnapshotInfo } from '../contract/index.js';
import { eachOf, MAX_PAGE, type PageOptions } from './pages.js';
import type { Sendable } from './sendable.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * For `snapshots.export`.
 *
 * @example
 * ```ts
 * const sizes: number[] = [];
 * const options: ExportOptions = { onSize: (bytes) => sizes.push(bytes) };
 * let bytes = 0;
 * for await (const piece of bough.snapshots.export('base', options)) bytes += piece.length;
 * console.log(sizes[0] === bytes); // true
 * ```
 */
export interface ExportOptions extends CallOptions {
  /** Told how many bytes there will be, before the first comes. */
  readonly onSize?: ((bytes: number) => unknown) | undefined;
}

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

  /**
   * The snapshot as one file, as it comes, for `import` on another host. It holds everything that the guest's memory held. Whoever stops
   * reading has no whole file.
   *
   * @example
   * ```ts
   * let bytes = 0;
   * for await (const piece of bough.snapshots.export('base')) bytes += piece.length;
   * console.log(bytes > 0); // true
   * ```
   */
  async *export(
    tag: string,
    { onSize, ...options }: ExportOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const bytes = await this.#transport.stream('exportSnapshot', '*/*', { ...options, params: { tag } });
    const size = bytes.headers.get('content-length');
    if (size !== null) onSize?.(Number(size));
    yield* bytes;
  }

  /**
   * Takes in what `export` gave, here or on another host, as `tag`, or as it was called there. It is checked, started once and captured
   * with a secret of its own. Rejects with code `snapshot_untrusted` where nobody whom the daemon trusts has signed it, unless
   * `allowUnsigned`.
   *
   * @example
   * ```ts
   * const made = await bough.snapshots.import(bough.snapshots.export('base'), { tag: 'copy', allowUnsigned: true });
   * console.log(made.tag); // copy
   * ```
   */
  async import(
    bytes: Sendable,
    { tag, allowUnsigned, ...options }: CallOptions & { tag?: string; allowUnsigned?: boolean } = {},
  ): Promise<Snapshot> {
    const query = { tag, allow_unsigned: allowUnsigned };
    const headers = await this.#transport.send('importSnapshot', bytes, { ...options, query });
    return this.get(headers.get('bough-tag') ?? '', options);
  }

  /**
   * Public keys, in PEM, whose snapshots `import` takes in without `allowUnsigned`.
   *
   * @example
   * ```ts
   * console.log((await bough.snapshots.trustedKeys()).length); // 0
   * ```
   */
  async trustedKeys(options?: CallOptions): Promise<string[]> {
    return (await this.#transport.call('trustedKeys', options)).keys;
  }
}
