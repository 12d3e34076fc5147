/**
 * The store's contract: snapshots in two tiers of one layout, `hotDir` in memory and `stateDir` on disk, one folder a snapshot.
 *
 * The idea: the file system is the database, and a snapshot's folder is complete in itself because everything it shares with others
 * is a hard link. So the file system counts the users of a layer, and deleting one snapshot can never orphan another.
 *
 *     stateDir/snapshots/<tag>/   manifest.json  manifest.sha256  vmstate.bin  memory.bin  layers/<id>.bin  disk/<id>.<raw|qcow2>
 *     hotDir/snapshots/<tag>/     the same without disk/, apart from a tail that is not durable yet
 *
 * Life of a snapshot: draft → `ready` (complete in the hot tier) → durable (would survive power loss) → perhaps evicted from the hot
 * tier, and loaded again when it is used. Implemented by `SnapshotStore`; read catalog.ts for the states, docs/internals/snapshot-format.md for
 * the files.
 */
import type { Emit } from '../contract/index.js';
import type { Leftover } from './life/leftovers.js';
import type { Writer } from './life/lent.js';
import type { Manifest, RequestKey } from './format/manifest.js';
import type {
  Ancestry,
  CaptureFacts,
  DiskRef,
  DraftRequest,
  LayerRef,
  PublishFields,
  Run,
  SnapshotInfo,
  SnapshotView,
  TierSpace,
} from './types.js';
import type { CountedFile } from './tier/counted-file.js';

/** Where the store lives and how much memory it may keep. */
export interface StoreOptions {
  readonly stateDir: string;
  readonly hotDir: string;
  /** What `evict()` aims for: bytes of snapshot memory kept hot. Default: half of the hot file system. */
  readonly hotBudgetBytes?: number;
  /** What all durable snapshots together may take on disk; a draft beyond it is refused with NoSpace. Default: what the disk holds. */
  readonly diskQuotaBytes?: number | undefined;
  /** Called before a draft is refused for want of durable room; it is refused if there is none afterwards. */
  readonly makeDurableRoom?: (() => Promise<unknown>) | undefined;
  /** Called before hot copies are dropped for want of memory: whoever holds layers that nothing runs from may let go of them. */
  readonly makeHotRoom?: (() => Promise<unknown>) | undefined;
  readonly emit?: Emit;
}

/** How to remove: exactly one of the flags, or none. */
export interface RemoveOptions {
  /** Also delete everything that has the snapshot as an ancestor. Running sandboxes still refuse it. */
  readonly cascade?: boolean;
  /** Delete just this one whatever needs it; children keep working, their files are links of their own. */
  readonly force?: boolean;
  /** Names what runs from a tag, such as `sandbox sb1`. */
  readonly sandboxesOf?: (tag: string) => readonly string[];
}

/** What a snapshot is folded into. */
export interface CompactPlan {
  readonly to: string;
  readonly requestKey?: RequestKey | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A snapshot being captured: its tag is taken and listed as `writing`; every file goes into a staging folder.
 * Ends with `publish` or `abandon`.
 */
export interface Draft {
  readonly id: string;
  readonly tag: string;
  /** Where the capture writes the own memory layer (sparse) and the device state: hot tier, the files do not exist yet. */
  readonly memoryPath: string;
  readonly vmstatePath: string;
  /** Where a capture may write and fsync a second copy of the memory layer, which then need not be copied to become durable. */
  readonly durableMemoryPath: string;
  /** Where the capture writes the disk's tail, if there is one: hot tier, qcow2, the file does not exist yet. */
  readonly tail: DiskRef;
  /** Makes the files that the capture writes, empty, for a VMM of that user, which can make none here; until `publish`. */
  lendTo(writer: Writer): Promise<void>;
  /** Hard-links what the snapshot stands on, bottom first, also while the guest is captured. Throws NoSpace or the I/O error. */
  addAncestry(ancestry: Ancestry): Promise<void>;
  /** Adds one more frozen overlay on top of the disk chain: the source was switched from it right before the pause. */
  addDisk(disk: DiskRef): Promise<void>;
  /** Makes `pauseMs` visible while the snapshot is still `writing`. */
  note(facts: CaptureFacts): void;
  /** The caller has told someone the name (202): from now on a crash of the daemon leaves a `failed` entry instead of nothing. */
  announce(): Promise<void>;
  /** Seals the files and lists the snapshot as `ready`; persisting starts in the background. On failure: as `abandon` with the reason, and throws. */
  publish(fields: PublishFields): Promise<SnapshotView>;
  /**
   * Removes everything. The tag is free again; one that was announced leaves a `failed` entry with `reason` until it is deleted or its
   * tag is used again. Idempotent, does nothing after `publish`.
   */
  abandon(reason?: string): Promise<void>;
}

/** A sandbox's own links to everything a snapshot consists of: independent of the snapshot from then on. */
export interface LinkedSnapshot extends Ancestry {
  /** Hot tier, inside the snapshot: valid while the lease is held. */
  readonly vmstatePath: string;
}

/** A promise that the snapshot stays as it is: not deleted, not evicted. Hold it while a child starts, no longer. */
export interface Lease {
  readonly manifest: Manifest;
  /** Bottom first, hot paths inside the snapshot's folder. */
  readonly layers: readonly LayerRef[];
  readonly vmstatePath: string;
  /**
   * Hard-links layers into `hotDir/layers` and disks into `stateDir/disk` (a tail that is not durable yet: `hotDir/disk`), both
   * created if needed. What it returns may outlive the lease, goes into the sandbox's record, and is what `addAncestry` takes.
   */
  linkInto(hotDir: string, stateDir: string): Promise<LinkedSnapshot>;
  /** Idempotent. */
  release(): void;
  [Symbol.dispose](): void;
}

/** What a snapshot from elsewhere will take. */
export interface Received {
  /** What it is to be called. */
  readonly tag: string;
  /** In the hot tier: memory layers and device state. */
  readonly memoryBytes: number;
  /** In the durable tier. */
  readonly diskBytes: number;
}

/** What a snapshot from elsewhere holds; memory layers and disk files bottom first. */
export interface ReceivedContent {
  readonly vmstate: { readonly sha256: string };
  readonly memory: readonly {
    readonly runs: readonly Run[];
    readonly logicalBytes: number;
    readonly sha256: string;
  }[];
  readonly disks: readonly { readonly format: DiskRef['format'] }[];
}

/** A snapshot from elsewhere on its way in: places for its files, none of which exists yet. */
export interface Reception {
  readonly vmstatePath: string;
  memoryPath(index: number): string;
  diskPath(index: number): string;
  /** Every file is written: checks them, and hands out what a VM can be started from, until `close`. Throws IntegrityError. */
  finish(content: ReceivedContent, signal?: AbortSignal): Promise<LinkedSnapshot>;
  /** Removes what came; links of others keep what they have. Idempotent. */
  close(): Promise<void>;
}

/** See the file's header. One instance a state dir, made by `openStore`. */
export interface Store {
  /** Every tag once, by creation. */
  list(): SnapshotView[];
  /** Throws SnapshotNotFound. */
  get(tag: string): SnapshotView;
  /** Throws SnapshotNotFound, SnapshotUnusable (writing or failed). */
  info(tag: string): Promise<SnapshotInfo>;
  /** Reserves the tag and room. Throws TagExists, NoSpace, TypeError for a malformed tag. */
  draft(request: DraftRequest): Promise<Draft>;
  /** Resolves when the snapshot is `ready`; throws SnapshotNotFound, SnapshotUnusable (failed), or the signal's reason. */
  ready(tag: string, signal?: AbortSignal): Promise<SnapshotView>;
  /** Resolves when the snapshot would survive power loss; throws as `ready`, or NotDurable. */
  durable(tag: string, signal?: AbortSignal): Promise<SnapshotView>;
  /**
   * Waits for a snapshot in `writing`, loads its layers into the hot tier if they are not there, checks what was not checked before.
   * `holder` names the user for SnapshotInUse, such as `sandbox sb1`; `accept` sees the manifest before anything is loaded and refuses
   * by throwing. Throws SnapshotNotFound, SnapshotUnusable, IntegrityError (then quarantined), NoSpace, or what `accept` throws.
   */
  acquire(
    tag: string,
    holder: string,
    signal?: AbortSignal,
    accept?: (manifest: Manifest) => Promise<void>,
  ): Promise<Lease>;
  /** Throws SnapshotNotFound, SnapshotInUse (also while it is written or leased), TypeError for both flags. */
  remove(tag: string, options?: RemoveOptions): Promise<void>;
  /** What `delete` with the same options would refuse for, such as `sandbox sb1`; none if nothing. Throws SnapshotNotFound. */
  holders(tag: string, options?: RemoveOptions): string[];
  /** The files that a snapshot consists of, in both tiers; none of one that is not complete. Throws SnapshotNotFound. */
  files(tag: string): Promise<CountedFile[]>;
  /** What is in the store's folders that no snapshot owns. */
  leftovers(): Promise<Leftover[]>;
  /** Folds `tag` into the new snapshot `plan.to` without ancestors: one memory layer, and one disk file if the chain had more than two. */
  compact(tag: string, plan: CompactPlan): Promise<SnapshotView>;
  /** Makes room for a snapshot from elsewhere. Throws TagExists, NoSpace. */
  receive(received: Received): Promise<Reception>;
  /** For who is going to write that much to disk at once, and removes it again: throws NoSpace where others were promised it. */
  checkRoom(bytes: number): Promise<void>;
  /**
   * Writes what these neighbours in a stack hold, bottom first, into one new layer in a folder of the caller's in the hot tier, and
   * leaves them as they are. Live captures go first, unless it `isAwaited`, asked for each mebibyte. Throws NoSpace or the I/O error;
   * nothing is left then.
   */
  mergeLayers(layers: readonly LayerRef[], folder: string, isAwaited?: () => boolean): Promise<LayerRef>;
  /** Begins again to make durable what could not be made durable before. */
  persistAgain(): void;
  /** Drops hot copies nothing uses, least recently used first, until `hotBudgetBytes` is met; returns the tags. Never in a hot path. */
  evict(targetBytes?: number): Promise<string[]>;
  /** Memory that the layers of all hot snapshots take, shared ones counted once. */
  hotLayerBytes(): Promise<number>;
  /** Disk space that all durable snapshots take, shared files counted once. */
  durableBytes(): Promise<number>;
  /** Room in the durable tier. */
  durableSpace(): Promise<TierSpace>;
  /** Stops persisting (resumed at the next start), releases the lock. Idempotent. */
  close(): Promise<void>;
}
