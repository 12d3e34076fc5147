/**
 * One open store: the parts of this folder behind the `Store` interface.
 *
 * Invariant: between `openStore` and `close` this process holds the locks of both tiers, so nobody else renames anything in them.
 */
import { setImmediate } from 'node:timers/promises';
import pLimit from 'p-limit';
import { lockFile, LockHeld, monotonicMs, orAborted, ResourceStack, WorkSet } from '../base/index.js';
import { Catalog, StoredEntry } from './catalog.js';
import { compactSnapshot } from './pack/compact.js';
import { mergeLayers } from './pack/merge.js';
import { goFirst, listedFolder, type StoreContext } from './context.js';
import { startDraft } from './life/draft.js';
import {
  IntegrityError,
  NoSpace,
  SnapshotNotFound,
  SnapshotUnusable,
  StoreLocked,
  TagExists,
} from './errors.js';
import type { CountedFile } from './tier/counted-file.js';
import { evict } from './tier/evict.js';
import { prepareSubfolders, prepareTierFolder, type TierFolder } from './tier/folders.js';
import { HotLoader } from './tier/hot-load.js';
import { SnapshotLease } from './life/lease.js';
import { persistAgain, schedulePersist } from './life/persist.js';
import { recover } from './life/recover.js';
import { findLeftovers, type Leftover } from './life/leftovers.js';
import type { Manifest } from './format/manifest.js';
import { removeSnapshot, holdersOf, quarantineStored } from './life/remove.js';
import { Space } from './tier/space.js';
import { startReception } from './life/receive.js';
import type {
  CompactPlan,
  RemoveOptions,
  Draft,
  Lease,
  Received,
  Reception,
  Store,
  StoreOptions,
} from './store.js';
import type { DraftRequest, LayerRef, SnapshotInfo, SnapshotView, TierSpace } from './types.js';
import { durableBytes, hotLayerBytes, snapshotFiles } from './tier/usage.js';
import { VerifiedFiles } from './tier/verified.js';

/**
 * Opens the store, creating its folders if needed, and resumes what a crash interrupted.
 * Throws BadStoreFolder, StoreLocked, StoreTooNew; in each case nothing but an empty folder and a lock file was created.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  await using undo = new ResourceStack();
  const durable = await prepareTierFolder(options.stateDir);
  const hot = await prepareTierFolder(options.hotDir);
  for (const tier of [durable, hot]) undo.use(await lock(tier));
  await prepareSubfolders(durable, false);
  await prepareSubfolders(hot, true);
  const closing = new AbortController();
  const hotSpace = new Space('hot', hot.path);
  const { freeBytes } = await hotSpace.measure();
  const context: StoreContext = {
    hot,
    durable,
    hotSpace,
    durableSpace: new Space('durable', durable.path, {
      limitBytes: options.diskQuotaBytes ?? Infinity,
      usedBytes: () => durableBytes(context),
    }),
    makeDurableRoom: options.makeDurableRoom ?? (() => Promise.resolve()),
    makeHotRoom: options.makeHotRoom ?? (() => Promise.resolve()),
    catalog: new Catalog(),
    verified: new VerifiedFiles(),
    unsyncedDisks: new Map(),
    underWay: new Set(),
    emit: options.emit ?? (() => undefined),
    hotBudgetBytes: options.hotBudgetBytes ?? Math.floor(freeBytes / 2),
    closing: closing.signal,
    persistQueue: pLimit(1),
    captures: new WorkSet(),
    urgent: new WorkSet(),
    running: new WorkSet(),
  };
  const unfinished = await recover(context);
  undo.defer(() => context.running.settled());
  undo.defer(() => closing.abort(new Error('The store is closing')));
  for (const entry of unfinished) schedulePersist(context, entry);
  return new SnapshotStore(context, undo.move());
}

async function lock(tier: TierFolder): Promise<{ close(): Promise<void> }> {
  try {
    return await lockFile(tier.lock);
  } catch (error) {
    if (error instanceof LockHeld) throw new StoreLocked(tier.path, error.holder, { cause: error });
    throw error;
  }
}

class SnapshotStore implements Store {
  readonly #context: StoreContext;
  readonly #resources: ResourceStack;
  readonly #loader: HotLoader;
  readonly #makeRoom: (neededBytes: number) => Promise<unknown>;

  constructor(context: StoreContext, resources: ResourceStack) {
    this.#context = context;
    this.#resources = resources;
    this.#makeRoom = async (neededBytes) =>
      evict(context, Math.max(0, (await hotLayerBytes(context)) - neededBytes));
    this.#loader = new HotLoader(context, this.#makeRoom);
  }

  list(): SnapshotView[] {
    return [...this.#context.catalog.entries()].map((entry) => this.#view(entry.tag));
  }

  get(tag: string): SnapshotView {
    return this.#view(tag);
  }

  async info(tag: string): Promise<SnapshotInfo> {
    const { catalog } = this.#context;
    const entry = catalog.get(tag);
    if (entry.kind !== 'stored') throw unusable(tag, entry);
    const { layers, vmstate } = entry.manifest;
    const own = layers.at(-1);
    return Promise.resolve({
      ...this.#view(tag),
      memoryLogicalBytes: own?.logicalBytes ?? 0,
      memoryPhysicalBytes: own?.physicalBytes ?? 0,
      vmstateBytes: vmstate.bytes,
      chainDepth: layers.length,
      ancestors: catalog.livingAncestors(entry).map((ancestor) => ancestor.tag),
      dependents: catalog.dependentsOf(entry.id).map((dependent) => dependent.tag),
    });
  }

  draft(request: DraftRequest): Promise<Draft> {
    return startDraft(this.#context, request, this.#onReady);
  }

  async ready(tag: string, signal?: AbortSignal): Promise<SnapshotView> {
    await this.#settled(tag, signal);
    return this.#view(tag);
  }

  async durable(tag: string, signal?: AbortSignal): Promise<SnapshotView> {
    const entry = await this.#settled(tag, signal);
    await orAborted(entry.persist.ended.promise, signal);
    return this.#view(tag);
  }

  async acquire(
    tag: string,
    holder: string,
    signal?: AbortSignal,
    accept?: (manifest: Manifest) => Promise<void>,
  ): Promise<Lease> {
    const entry = await this.#settled(tag, signal);
    // Between the look and now somebody may have begun to delete it.
    if (entry.deleting) throw new SnapshotNotFound(tag);
    const { bootable, warning } = entry.manifest;
    if (!bootable) throw new SnapshotUnusable(tag, warning ?? 'it was captured as not bootable');
    const lease = new SnapshotLease(this.#context, entry, holder);
    try {
      await accept?.(entry.manifest);
      await orAborted(this.#loader.ensureUsable(entry), signal);
    } catch (error) {
      lease.release();
      if (error instanceof IntegrityError) await this.#quarantine(entry, error);
      throw error;
    }
    entry.lastUsedMs = monotonicMs();
    return lease;
  }

  remove(tag: string, options: RemoveOptions = {}): Promise<void> {
    return removeSnapshot(this.#context, tag, options);
  }

  holders(tag: string, options: RemoveOptions = {}): string[] {
    return holdersOf(this.#context, tag, options);
  }

  async files(tag: string): Promise<CountedFile[]> {
    const entry = this.#context.catalog.get(tag);
    return entry.kind === 'stored' ? snapshotFiles(this.#context, entry) : [];
  }

  leftovers(): Promise<Leftover[]> {
    return findLeftovers(this.#context);
  }

  async compact(tag: string, plan: CompactPlan): Promise<SnapshotView> {
    const { to, signal } = plan;
    if (this.#context.catalog.isTaken(to)) throw new TagExists(to);
    using lease = await this.acquire(tag, `snapshot ${to} (being compacted)`, signal);
    return await compactSnapshot(this.#context, lease, plan, this.#onReady);
  }

  async checkRoom(bytes: number): Promise<void> {
    const { durableSpace, makeDurableRoom } = this.#context;
    await durableSpace.check(bytes).catch(async (error: unknown) => {
      if (!(error instanceof NoSpace)) throw error;
      await makeDurableRoom();
      await durableSpace.check(bytes);
    });
  }

  receive(received: Received): Promise<Reception> {
    return startReception(this.#context, received, this.#makeRoom);
  }

  mergeLayers(layers: readonly LayerRef[], folder: string, isAwaited?: () => boolean): Promise<LayerRef> {
    const merged = mergeLayers(this.#context, layers, folder, isAwaited);
    // A line grows until it is there, and branches of a long one wait for it.
    goFirst(this.#context, merged);
    return merged;
  }

  persistAgain(): void {
    for (const entry of this.#context.catalog.stored()) persistAgain(this.#context, entry);
  }

  evict(targetBytes = this.#context.hotBudgetBytes): Promise<string[]> {
    return evict(this.#context, targetBytes);
  }

  hotLayerBytes(): Promise<number> {
    return hotLayerBytes(this.#context);
  }

  durableBytes(): Promise<number> {
    return durableBytes(this.#context);
  }

  durableSpace(): Promise<TierSpace> {
    return this.#context.durableSpace.measure();
  }

  close(): Promise<void> {
    return this.#resources.close();
  }

  /** Whatever comes of it, the caller is to learn of the damage. */
  async #quarantine(entry: StoredEntry, damage: IntegrityError): Promise<void> {
    try {
      await quarantineStored(this.#context, entry, damage);
    } catch (error) {
      this.#context.emit('snapshot.not-quarantined', { tag: entry.tag, object: damage.object, err: error });
    }
  }

  readonly #onReady = (entry: StoredEntry): void => {
    entry.lastUsedMs = monotonicMs();
    // Whoever waits for the snapshot is answered first.
    const begun = setImmediate().then(() => schedulePersist(this.#context, entry));
    this.#context.running.add(begun);
  };

  #view(tag: string): SnapshotView {
    const { catalog } = this.#context;
    return catalog.view(catalog.get(tag), (entry) => listedFolder(this.#context, entry));
  }

  /** The entry of a tag once it is no longer being written. */
  async #settled(tag: string, signal: AbortSignal | undefined): Promise<StoredEntry> {
    for (;;) {
      const entry = this.#context.catalog.get(tag);
      if (entry.kind === 'stored') return entry;
      if (entry.kind === 'failed') throw unusable(tag, entry);
      await orAborted(entry.settled.promise, signal);
    }
  }
}

function unusable(
  tag: string,
  entry: { kind: 'writing' } | { kind: 'failed'; reason: string },
): SnapshotUnusable {
  return new SnapshotUnusable(tag, entry.kind === 'writing' ? 'it is being written' : entry.reason);
}
