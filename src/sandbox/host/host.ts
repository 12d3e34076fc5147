/**
 * The domain as the outside sees it: everything an HTTP handler can ask for, in wire types.
 *
 * Every method throws `BoughError` from the catalogue and nothing else on purpose; anything else is a defect
 * and answered as `internal`. Requests are validated before they arrive here; what needs knowledge of state
 * (a tag that exists, a parent that does not match) is checked here.
 *
 * Every method takes the circumstances of the call. A caller that leaves ends what is of use to nobody then: a boot, a spawn, a
 * program, unless there is a key to ask again with. It does not end a branch or a fork: the source's pause is paid for already. What
 * makes something makes nothing twice for one key.
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
import type { CallContext } from './call.js';

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
  listSnapshots(call: CallContext): Promise<Snapshot[]>;
  getSnapshot(tag: string, call: CallContext): Promise<Snapshot>;
  snapshotInfo(tag: string, call: CallContext): Promise<SnapshotInfo>;
  /** Boots and captures; on failure nothing is left. */
  createSnapshot(request: CreateSnapshotRequest, call: CallContext): Promise<Snapshot>;
  deleteSnapshot(tag: string, options: DeleteSnapshotOptions, call: CallContext): Promise<void>;
  compactSnapshot(tag: string, request: CompactRequest, call: CallContext): Promise<Snapshot>;

  listSandboxes(call: CallContext): Promise<Sandbox[]>;
  getSandbox(id: string, call: CallContext): Promise<Sandbox>;
  /** Starts `request.n` sandboxes, all or none. */
  spawn(request: SpawnRequest, call: CallContext): Promise<Sandbox[]>;
  /** Resolves when the sandbox's process is gone. */
  removeSandbox(id: string, call: CallContext): Promise<void>;
  exec(id: string, request: ExecRequest, call: CallContext): Promise<ExecResult>;
  evaluate(id: string, request: EvalRequest, call: CallContext): Promise<EvalResult>;
  ping(id: string, call: CallContext): Promise<PingResult>;
  /** Sets when and how the sandbox ends. */
  setTimeout(id: string, request: TimeoutRequest, call: CallContext): Promise<Sandbox>;

  /** On any failure the source runs and nothing of the snapshot is left. */
  branch(id: string, request: BranchRequest, call: CallContext): Promise<BranchOutcome>;
  fork(id: string, request: ForkRequest, call: CallContext): Promise<ForkResult>;

  /** Removes what has expired or was left behind, or says what that would be. */
  collect(request: GcRequest, call: CallContext): Promise<GcResult>;

  gauges(): HostGauges;
  /** Finishes or aborts what is in flight and lets go of the state directory. Sandboxes keep running. */
  close(): Promise<void>;
}
