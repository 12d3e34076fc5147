/**
 * The domain as the outside sees it: everything an HTTP handler can ask for, in wire types.
 *
 * Every method throws `BoughError` from the catalogue and nothing else on purpose; anything else is a defect
 * and answered as `internal`. Requests are validated before they arrive here; what needs knowledge of state
 * (a tag that exists, a parent that does not match) is checked here. What takes a `key` makes nothing twice for it.
 */

import type {
  BranchRequest,
  CompactRequest,
  CreateSnapshotRequest,
  DeleteSnapshotOptions,
  EvalRequest,
  EvalResult,
  ExecRequest,
  ExecResult,
  ForkRequest,
  ForkResult,
  GcRequest,
  GcResult,
  PingResult,
  Sandbox,
  SandboxState,
  Snapshot,
  SnapshotInfo,
  SnapshotStatus,
  SpawnRequest,
  TimeoutRequest,
} from '../../contract/index.js';
import type { RequestKey } from '../../store/index.js';

/** The outcome of a branch. */
export interface BranchOutcome {
  readonly snapshot: Snapshot;
  /** True when the snapshot is still being written (`wait: false`): answered with 202 instead of 201. */
  readonly accepted: boolean;
}

/** What can be counted at this moment; read whenever someone asks for the metrics. */
export interface HostGauges {
  readonly sandboxes: Readonly<Partial<Record<SandboxState, number>>>;
  readonly snapshots: Readonly<Partial<Record<SnapshotStatus, number>>>;
  readonly branchesInFlight: number;
  /** Bytes of memory layers in the hot store. */
  readonly hotBytes: number;
  /** Bytes of snapshots in the durable store. */
  readonly durableBytes: number;
}

export interface Host {
  /** Every snapshot, each tag once, those in `writing` included. */
  listSnapshots(): Promise<Snapshot[]>;
  getSnapshot(tag: string): Promise<Snapshot>;
  snapshotInfo(tag: string): Promise<SnapshotInfo>;
  /** Boots and captures. Aborting `signal` ends the boot and leaves nothing behind, unless there is a key to ask again with. */
  createSnapshot(request: CreateSnapshotRequest, signal?: AbortSignal, key?: RequestKey): Promise<Snapshot>;
  deleteSnapshot(tag: string, options: DeleteSnapshotOptions): Promise<void>;
  compactSnapshot(tag: string, request: CompactRequest, key?: RequestKey): Promise<Snapshot>;

  listSandboxes(): Promise<Sandbox[]>;
  getSandbox(id: string): Promise<Sandbox>;
  /** Starts `request.n` sandboxes, all or none: none if `signal` is aborted before they are there, unless there is a key. */
  spawn(request: SpawnRequest, signal?: AbortSignal, key?: RequestKey): Promise<Sandbox[]>;
  /** Resolves when the sandbox's process is gone. */
  removeSandbox(id: string): Promise<void>;
  exec(id: string, request: ExecRequest, signal?: AbortSignal): Promise<ExecResult>;
  evaluate(id: string, request: EvalRequest, signal?: AbortSignal): Promise<EvalResult>;
  ping(id: string): Promise<PingResult>;
  /** Sets when and how the sandbox ends. */
  setTimeout(id: string, request: TimeoutRequest): Promise<Sandbox>;

  /** On any failure the source runs and nothing of the snapshot is left. */
  branch(id: string, request: BranchRequest, key?: RequestKey): Promise<BranchOutcome>;
  fork(id: string, request: ForkRequest, key?: RequestKey): Promise<ForkResult>;

  /** Removes what has expired or was left behind, or says what that would be. */
  collect(request: GcRequest): Promise<GcResult>;

  gauges(): HostGauges;
  /** Finishes or aborts what is in flight and lets go of the state directory. Sandboxes keep running. */
  close(): Promise<void>;
}
