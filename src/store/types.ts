/**
 * What the store hands out and takes in: plain data, safe to write into a sandbox's record as JSON.
 *
 * The idea: a `LayerRef` or `DiskRef` names one immutable file by an id that never means anything else. Whoever holds a hard link
 * to the file may use it for as long as it likes; nobody has to ask whether the snapshot it came from still exists.
 */
import type {
  AgentAccess,
  ImageIdentity,
  MachineIdentity,
  Manifest,
  RequestKey,
  Retention,
  SnapshotMode,
} from './format/manifest.js';

/** `[offsetBytes, lengthBytes]` of a stretch of a memory layer that holds data; the same offset in the file and in guest RAM. */
export type Run = readonly [offsetBytes: number, lengthBytes: number];

/** One immutable memory layer and where to map it from (hot tier). */
export interface LayerRef {
  readonly id: string;
  readonly path: string;
  /** Ascending, disjoint, inside the guest's RAM. Map only these, never the holes between them. */
  readonly runs: readonly Run[];
  /** Size of the guest's RAM, which is the file's logical size. */
  readonly logicalBytes: number;
  /** `layerDigest` of the runs, once something has computed it. */
  readonly sha256?: string | undefined;
}

/** Format of one file of a disk chain, always stated, never probed. */
export type DiskFormat = 'raw' | 'qcow2';

/** One immutable file of a disk chain. A qcow2 file's own backing string is ignored: the order of the list is the chain. */
export interface DiskRef {
  readonly id: string;
  readonly path: string;
  readonly format: DiskFormat;
  /** `diskDigest` of the file, once something has computed it. */
  readonly sha256?: string | undefined;
}

/** A stack of memory layers and a disk chain, each bottom first. */
export interface Ancestry {
  readonly layers: readonly LayerRef[];
  readonly disks: readonly DiskRef[];
}

/** What is known of a snapshot before anything is captured. */
export interface DraftRequest {
  readonly tag: string;
  readonly mode: SnapshotMode;
  /** Id of the sandbox it is captured from. */
  readonly branchedFrom?: string;
  /** Tag of the snapshot that sandbox was started from. It becomes an ancestor, if it still exists. */
  readonly parentTag?: string;
  readonly retention?: Retention | undefined;
  readonly requestKey?: RequestKey | undefined;
  /** Upper bounds of what capture will write to each tier; refused with NoSpace now rather than running out later. Default 0. */
  readonly reserveHotBytes?: number;
  readonly reserveDurableBytes?: number;
}

/** Facts learnt while capturing, for listings before `publish`. */
export interface CaptureFacts {
  /** The pause of the source, as an upper bound. */
  pauseMs?: number;
  /** Between QEMU's STOP and RESUME, a lower bound of the same. */
  stoppedMs?: number;
  capturedBytes?: number;
}

/** What a finished capture is published with. */
export interface PublishFields extends CaptureFacts {
  /** Of the draft's own `memoryPath`; `isDurable` when `durableMemoryPath` holds the same, fsynced. */
  readonly memory: {
    readonly runs: readonly Run[];
    readonly logicalBytes: number;
    readonly isDurable?: boolean;
  };
  readonly machine: MachineIdentity;
  readonly image: ImageIdentity;
  readonly agent: AgentAccess;
  readonly network?: Manifest['network'];
  readonly recipe?: Manifest['recipe'];
  readonly rebuilt?: Manifest['rebuilt'];
  /** True when the capture wrote `draft.tail.path`; it goes on top of the disk chain. */
  readonly hasTail: boolean;
  /** Default true; false together with `warning` for a snapshot that is kept but must not be started from. */
  readonly bootable?: boolean;
  readonly warning?: string;
}

/** One listed snapshot. A status of `failed` carries the reason in `warning` and has no files. */
export interface SnapshotView {
  readonly id: string;
  readonly tag: string;
  /** The durable folder once there is one, until then the hot folder. */
  readonly dir: string;
  readonly createdAtUnix: number;
  readonly status: 'writing' | 'ready' | 'failed';
  readonly bootable: boolean;
  readonly durable: boolean;
  /** True while its layers are in memory, so that starting from it needs no load. */
  readonly hot: boolean;
  readonly mode?: SnapshotMode;
  readonly branchedFrom?: string;
  /** Only while that very snapshot still exists. */
  readonly parentTag?: string;
  readonly pauseMs?: number;
  readonly stoppedMs?: number;
  readonly capturedBytes?: number;
  /** Bytes of the snapshot's own memory layer (not its ancestors'). */
  readonly memoryPhysicalBytes?: number;
  readonly warning?: string;
  /** Why it was made again instead of loaded. */
  readonly rebuilt?: string;
  readonly retention?: Retention;
  readonly requestKey?: RequestKey;
  readonly image?: ImageIdentity;
  readonly machine?: MachineIdentity;
}

/** A snapshot with its lineage and sizes. */
export interface SnapshotInfo extends SnapshotView {
  readonly memoryLogicalBytes: number;
  readonly memoryPhysicalBytes: number;
  readonly vmstateBytes: number;
  /** Number of memory layers, its own included: 1 for a template. */
  readonly chainDepth: number;
  /** Tags of the ancestors which still exist, root first. */
  readonly ancestors: readonly string[];
  /** Tags of all snapshots which have this one as an ancestor, oldest first. */
  readonly dependents: readonly string[];
}

/** Room in one tier: what the file system has left, and how much of that running drafts may still take. */
export interface TierSpace {
  readonly freeBytes: number;
  readonly reservedBytes: number;
}
