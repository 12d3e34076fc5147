/**
 * The domain as the outside sees it: everything that a request can ask for, in the domain's own types. Durations are milliseconds,
 * moments are seconds since 1970.
 *
 * Every method throws `BoughError` from the catalogue and nothing else on purpose; anything else is a defect
 * and answered as `internal`. Requests are validated before they arrive here; what needs knowledge of state
 * (a tag that exists, a parent that does not match) is checked here.
 *
 * A sandbox's name means it wherever its id does.
 *
 * Every method takes the circumstances of the call. A caller that leaves ends what is of use to nobody then: a boot, a spawn, a
 * program, unless there is a key to ask again with, and a rollback until it switches. It does not end a branch or a fork: the source's
 * pause is paid for already. What makes something makes nothing twice for one key.
 */

import type {
  CollectedExecRequest,
  EvalResult,
  ExecEvent,
  ExecRequest,
  ExecResult,
  Pong,
  PortConnection,
} from '../../agent/index.js';
import type {
  Network,
  NetworkCheck,
  NetworkPolicy,
  NetworkVerdict,
  SecretRequest,
} from '../../contract/index.js';
import type { SnapshotInfo, SnapshotView } from '../../store/index.js';
import type { BranchSpec } from '../branch/capture.js';
import type { LifetimeChange, LifetimeSpec } from '../entity/lifetime.js';
import type { SandboxStats } from '../entity/stats.js';
import type { SecretView } from '../entity/secrets.js';
import type { SandboxState, SandboxView } from '../entity/view.js';
import type { SnapshotSpec } from '../start/boot-spec.js';
import type { CollectionReport } from '../upkeep/collector.js';
import type { CallContext } from './call.js';
import type { FilesHost } from './guest-files.js';
import type { ProcessesHost } from './guest-processes.js';
import type { TimelinesHost } from './timelines.js';
import type { HubHost } from './snapshot-hub.js';

/** Sandboxes to start, all from one snapshot. */
export interface SpawnSpec {
  readonly snapshotTag: string;
  readonly count: number;
  readonly lifetime?: LifetimeSpec | undefined;
  /** Noted and shown; nothing enforces it. */
  readonly memoryLimitMiB?: number | undefined;
  /** For one sandbox. */
  readonly name?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Variables of every program that is run in it. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The snapshot's when absent. */
  readonly network?: NetworkPolicy | undefined;
}

/** A branch, and children of it. */
export interface ForkSpec {
  readonly branch: Omit<BranchSpec, 'wait' | 'parentTag'>;
  readonly count: number;
  readonly lifetime?: LifetimeSpec | undefined;
  readonly network?: NetworkPolicy | undefined;
}

/** What became of one child. */
export type ForkChild = { readonly sandbox: SandboxView } | { readonly error: unknown };

export interface Forked {
  readonly snapshot: SnapshotView;
  /** One for each that was asked for. */
  readonly children: readonly ForkChild[];
}

/** What to do when other snapshots build on the removed one: at most one is true. */
export interface Dependents {
  /** Remove them too. */
  readonly cascade: boolean;
  /** Remove it nevertheless. */
  readonly force: boolean;
}

/** An expression for the image's warm interpreter. */
export interface EvalSpec {
  readonly code: string;
  readonly timeoutMs?: number | undefined;
}

/** A TCP port of a sandbox's guest. */
export interface PortId {
  readonly id: string;
  readonly port: number;
}

/** What can be counted at this moment; read whenever someone asks for the metrics. */
export interface HostGauges {
  readonly sandboxes: Readonly<Partial<Record<SandboxState, number>>>;
  readonly snapshots: Readonly<Partial<Record<SnapshotView['status'], number>>>;
  readonly branchesInFlight: number;
  /** VMMs that stand ready to become children. */
  readonly warmVmms: number;
  /** Bytes of memory layers in the hot store. */
  readonly hotBytes: number;
  /** Bytes of snapshots in the durable store. */
  readonly durableBytes: number;
}

export interface Host {
  /** Every snapshot, each tag once, those in `writing` included. */
  listSnapshots(call: CallContext): Promise<SnapshotView[]>;
  getSnapshot(tag: string, call: CallContext): Promise<SnapshotView>;
  snapshotInfo(tag: string, call: CallContext): Promise<SnapshotInfo>;
  /** Boots and captures; on failure nothing is left. */
  createSnapshot(spec: SnapshotSpec, call: CallContext): Promise<SnapshotView>;
  deleteSnapshot(tag: string, dependents: Dependents, call: CallContext): Promise<void>;
  /** Folds a snapshot and its ancestors into a new one without parents. */
  compactSnapshot(tag: string, to: string, call: CallContext): Promise<SnapshotView>;

  listSandboxes(call: CallContext): Promise<SandboxView[]>;
  getSandbox(id: string, call: CallContext): Promise<SandboxView>;
  /** Starts `spec.count` sandboxes, all or none. */
  spawn(spec: SpawnSpec, call: CallContext): Promise<SandboxView[]>;
  /** Resolves when the sandbox's process is gone. */
  removeSandbox(id: string, call: CallContext): Promise<void>;
  /** Stops its processors; changes nothing when they stand still as they were told. */
  pause(id: string, call: CallContext): Promise<SandboxView>;
  /** Lets them run again, with the guest's clock set if its agent answers. */
  resume(id: string, call: CallContext): Promise<SandboxView>;
  stats(id: string, call: CallContext): Promise<SandboxStats>;
  /** Output that `program.onOutput` takes is not in the result. */
  exec(id: string, program: CollectedExecRequest, call: CallContext): Promise<ExecResult>;
  /** Its output as it comes, last of all its exit. Whoever stops iterating kills it. */
  execStream(id: string, program: ExecRequest, call: CallContext): AsyncGenerator<ExecEvent, void, undefined>;
  evaluate(id: string, spec: EvalSpec, call: CallContext): Promise<EvalResult>;
  ping(id: string, call: CallContext): Promise<Pong>;
  /** Sets when and how the sandbox ends. */
  setTimeout(id: string, change: LifetimeChange, call: CallContext): Promise<SandboxView>;

  /** Processes that outlive the connection that started them. */
  readonly processes: ProcessesHost;
  readonly files: FilesHost;
  /** Going back, and points to go back to. */
  readonly timelines: TimelinesHost;
  /** Snapshots that leave this host and that come to it. */
  readonly hub: HubHost;
  /**
   * Connects to a TCP port of the guest for as long as `use` takes, which may write before there is a connection; what is open then is reset.
   * Throws `port_unreachable` as soon as that is known, whatever `use` makes of it.
   */
  withPort<T>(which: PortId, use: (connection: PortConnection) => Promise<T>, call: CallContext): Promise<T>;
  /** Its policy, and what came of it. */
  network(id: string, call: CallContext): Promise<Network>;
  /** Replaces the policy as a whole; in force when it resolves. */
  setNetwork(id: string, policy: NetworkPolicy, call: CallContext): Promise<Network>;
  checkNetwork(id: string, what: NetworkCheck, call: CallContext): Promise<NetworkVerdict>;
  /** JSON lines, oldest first; with `follow` those to come, until the call's signal fires. */
  networkLog(
    id: string,
    how: { readonly follow: boolean },
    call: CallContext,
  ): Promise<AsyncIterable<Uint8Array>>;

  /** All but their values, which nothing tells. */
  listSecrets(call: CallContext): Promise<SecretView[]>;
  /** In force when it resolves, in sandboxes that run too. */
  setSecret(name: string, secret: SecretRequest, call: CallContext): Promise<SecretView>;
  removeSecret(name: string, call: CallContext): Promise<void>;

  /** On any failure the source runs and nothing of the snapshot is left. */
  branch(id: string, spec: BranchSpec, call: CallContext): Promise<SnapshotView>;
  /** A child that fails does not fail the call. */
  fork(id: string, spec: ForkSpec, call: CallContext): Promise<Forked>;

  /** Removes what has expired or was left behind, or says what that would be. */
  collect(how: { readonly dryRun: boolean }, call: CallContext): Promise<CollectionReport>;

  gauges(): HostGauges;
  /** Finishes or aborts what is in flight and lets go of the state directory. Sandboxes keep running. */
  close(): Promise<void>;
}
