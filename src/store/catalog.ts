/**
 * What the store knows in memory: one entry a tag, and which snapshots hold a given layer or disk file.
 *
 *     (nothing) ──draft──▶ writing ──publish──▶ stored: hot            ──persist──▶ hot + durable ◀──load/evict──▶ durable only
 *                             ├──abandon──▶ (nothing)   └──────────────── delete ─────────────────────────────▶ (nothing)
 *                             └──fail──▶ failed ──delete or a new draft──▶ (nothing)
 *
 * Invariant: an entry changes state synchronously, before or after the file operation that makes it true,
 * never while one runs; an object's holders are derived from entries, so that a rename never leaves a stale
 * path behind.
 */
import pLimit, { type LimitFunction } from 'p-limit';
import { compact, Deferred } from '../base/index.js';
import { SnapshotNotFound } from './errors.js';
import type { Manifest } from './format/manifest.js';
import type { Reservation } from './tier/space.js';
import type { CaptureFacts, DraftRequest, SnapshotView } from './types.js';

/** An ancestor as manifests name it. */
export type Ancestor = Manifest['ancestors'][number];

/** A snapshot being captured. */
export interface WritingEntry {
  readonly kind: 'writing';
  readonly id: string;
  readonly tag: string;
  readonly request: DraftRequest;
  readonly createdAtUnix: number;
  readonly ancestors: readonly Ancestor[];
  readonly facts: CaptureFacts;
  /** Resolves when the entry has been replaced or removed, whichever way it went. */
  readonly settled: Deferred<void>;
}

/** A capture that came to nothing after its name had been given out. */
export interface FailedEntry {
  readonly kind: 'failed';
  readonly id: string;
  readonly tag: string;
  readonly createdAtUnix: number;
  readonly reason: string;
  readonly branchedFrom?: string | undefined;
}

/** One attempt to make a snapshot durable, from its place in the queue to its end. */
export class PersistAttempt {
  /** Rejections are always handled. */
  readonly ended = new Deferred<void>();
  readonly abort = new AbortController();
  /** True once it has left the queue. */
  isRunning = false;
  /** Why it failed. */
  error: Error | undefined;

  constructor() {
    this.ended.promise.catch(() => undefined);
  }
}

/** A complete snapshot, hot or durable or both. */
export class StoredEntry {
  readonly kind = 'stored';
  manifest: Manifest;
  hot: boolean;
  durable: boolean;
  /** Set once deletion or quarantine has begun: invisible from then on, though the tag is not free yet. */
  deleting = false;
  /** The latest attempt to make it durable. */
  persist = new PersistAttempt();
  durableReservation: Reservation | undefined;
  /** The capture itself wrote and fsynced the own layer to the durable tier, in this process. */
  memoryIsDurable = false;
  /** Who holds a lease. */
  readonly leases = new Set<{ readonly holder: string }>();
  lastUsedMs = 0;
  /** One at a time: what creates or removes the hot folder. */
  readonly hotTransition: LimitFunction = pLimit(1);

  constructor(manifest: Manifest, where: { readonly hot: boolean; readonly durable: boolean }) {
    this.manifest = manifest;
    this.hot = where.hot;
    this.durable = where.durable;
    if (where.durable) this.persist.ended.resolve();
  }

  get id(): string {
    return this.manifest.id;
  }
  get tag(): string {
    return this.manifest.tag;
  }
  get createdAtUnix(): number {
    return this.manifest.createdAtUnix;
  }
  get ancestors(): readonly Ancestor[] {
    return this.manifest.ancestors;
  }
}

export type Entry = WritingEntry | FailedEntry | StoredEntry;

/** All entries of one store. */
export class Catalog {
  readonly #byTag = new Map<string, Entry>();
  readonly #holders = new Map<string, Set<StoredEntry>>();

  /** The visible entry of a tag. */
  find(tag: string): Entry | undefined {
    const entry = this.#byTag.get(tag);
    return entry?.kind === 'stored' && entry.deleting ? undefined : entry;
  }

  /** As `find`; throws SnapshotNotFound. */
  get(tag: string): Entry {
    const entry = this.find(tag);
    if (entry === undefined) throw new SnapshotNotFound(tag);
    return entry;
  }

  /** True while nobody may use the tag for something new. */
  isTaken(tag: string): boolean {
    const entry = this.#byTag.get(tag);
    return entry !== undefined && entry.kind !== 'failed';
  }

  /** Visible entries in the order they were added. */
  *entries(): Generator<Entry> {
    for (const entry of this.#byTag.values()) {
      if (entry.kind !== 'stored' || !entry.deleting) yield entry;
    }
  }

  /** Visible complete snapshots. */
  *stored(): Generator<StoredEntry> {
    for (const entry of this.entries()) if (entry.kind === 'stored') yield entry;
  }

  /** Puts an entry in place of whatever the tag meant before. */
  put(entry: Entry): void {
    this.remove(entry.tag);
    this.#byTag.set(entry.tag, entry);
    if (entry.kind !== 'stored') return;
    for (const id of objectIds(entry)) {
      const holders = this.#holders.get(id) ?? new Set();
      this.#holders.set(id, holders.add(entry));
    }
  }

  remove(tag: string): void {
    const entry = this.#byTag.get(tag);
    this.#byTag.delete(tag);
    if (entry?.kind !== 'stored') return;
    for (const id of objectIds(entry)) {
      const holders = this.#holders.get(id);
      holders?.delete(entry);
      if (holders?.size === 0) this.#holders.delete(id);
    }
  }

  /** Snapshots which hold an object, named `layer <id>` or `disk <id>`. */
  holdersOf(objectId: string): readonly StoredEntry[] {
    return [...(this.#holders.get(objectId) ?? [])].filter((entry) => !entry.deleting);
  }

  /** Everything that has the snapshot `id` as an ancestor, however far. */
  dependentsOf(id: string): (WritingEntry | StoredEntry)[] {
    const dependents: (WritingEntry | StoredEntry)[] = [];
    for (const entry of this.entries()) {
      if (entry.kind !== 'failed' && entry.ancestors.some((ancestor) => ancestor.id === id))
        dependents.push(entry);
    }
    return dependents;
  }

  /** Ancestors which still exist, root first. */
  livingAncestors(entry: WritingEntry | StoredEntry): Ancestor[] {
    return entry.ancestors.filter((ancestor) => this.#lives(ancestor));
  }

  /** The ancestors a child of `parentTag` has; none if there is no such snapshot. */
  ancestryBelow(parentTag: string | undefined): readonly Ancestor[] {
    const parent = parentTag === undefined ? undefined : this.find(parentTag);
    if (parent === undefined || parent.kind === 'failed') return [];
    return [...parent.ancestors, { tag: parent.tag, id: parent.id }];
  }

  /** The listed form of an entry; `dirOf` says where it is. */
  view(entry: Entry, dirOf: (entry: Entry) => string): SnapshotView {
    const common = { id: entry.id, tag: entry.tag, dir: dirOf(entry), createdAtUnix: entry.createdAtUnix };
    if (entry.kind === 'failed') {
      return {
        ...common,
        ...stateOf('failed'),
        warning: entry.reason,
        ...compact({ branchedFrom: entry.branchedFrom }),
      };
    }
    const parent = entry.ancestors.at(-1);
    const parentTag = parent !== undefined && this.#lives(parent) ? parent.tag : undefined;
    if (entry.kind === 'writing') {
      return {
        ...common,
        ...stateOf('writing'),
        mode: entry.request.mode,
        ...compact({
          branchedFrom: entry.request.branchedFrom,
          parentTag,
          retention: entry.request.retention,
          requestKey: entry.request.requestKey,
        }),
        ...entry.facts,
      };
    }
    const { manifest } = entry;
    return {
      ...common,
      status: 'ready',
      bootable: manifest.bootable,
      durable: entry.durable,
      hot: entry.hot,
      mode: manifest.mode,
      image: manifest.image,
      machine: manifest.machine,
      ...compact({
        memoryPhysicalBytes: manifest.layers.at(-1)?.physicalBytes,
        branchedFrom: manifest.branchedFrom,
        parentTag,
        pauseMs: manifest.pauseMs,
        stoppedMs: manifest.stoppedMs,
        capturedBytes: manifest.capturedBytes,
        retention: manifest.retention,
        requestKey: manifest.requestKey,
        warning: warningOf(entry),
        rebuilt: manifest.rebuilt,
      }),
    };
  }

  #lives({ tag, id }: Ancestor): boolean {
    const entry = this.find(tag);
    return entry !== undefined && entry.kind !== 'failed' && entry.id === id;
  }
}

const stateOf = <S extends 'writing' | 'failed'>(
  status: S,
): { status: S; bootable: false; durable: false; hot: false } => ({
  status,
  bootable: false,
  durable: false,
  hot: false,
});

function warningOf(entry: StoredEntry): string | undefined {
  if (entry.manifest.warning !== undefined) return entry.manifest.warning;
  const { error } = entry.persist;
  return error === undefined ? undefined : `It would not survive power loss: ${error.message}`;
}

function* objectIds(entry: StoredEntry): Generator<string> {
  for (const layer of entry.manifest.layers) yield `layer ${layer.id}`;
  for (const disk of entry.manifest.disks) yield `disk ${disk.id}`;
}
