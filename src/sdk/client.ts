/**
 * The typed client: one method a route. Runs wherever fetch does, browsers included.
 *
 * Every method rejects with `BoughApiError` (the daemon refused), `BoughUnreachable` (no answer), or the signal's
 * reason. Calls are never repeated by themselves.
 */

import type {
  BranchRequestInput,
  CreateSnapshotRequest,
  EvalRequestInput,
  EvalResult,
  ExecRequestInput,
  ExecResult,
  ForkRequestInput,
  ForkResult,
  GcRequestInput,
  GcResult,
  Health,
  PingResult,
  Sandbox,
  Snapshot,
  SnapshotInfo,
  SpawnRequestInput,
  TimeoutRequestInput,
  Version,
} from '../contract/index.js';
import { createTransport, type CallOptions, type Transport, type TransportOptions } from './transport.js';

export type { CallOptions, TransportOptions } from './transport.js';
export { BoughApiError, BoughUnreachable } from './errors.js';

/** `new Bough({ url: 'http://127.0.0.1:8889', token })` */
export class Bough {
  readonly snapshots: Snapshots;
  readonly sandboxes: Sandboxes;
  readonly #call: Transport;

  constructor(options: TransportOptions) {
    this.#call = createTransport(options);
    this.snapshots = new Snapshots(this.#call);
    this.sandboxes = new Sandboxes(this.#call);
  }

  async healthz(options?: CallOptions): Promise<Health> {
    return (await this.#call('healthz', options)) as Health;
  }

  async version(options?: CallOptions): Promise<Version> {
    return (await this.#call('version', options)) as Version;
  }

  /** Prometheus text. */
  async metrics(options?: CallOptions): Promise<string> {
    return (await this.#call('metrics', options)) as string;
  }

  /** Runs the collector; with `dry_run` it only says what it would remove. */
  async gc(request: GcRequestInput = {}, options?: CallOptions): Promise<GcResult> {
    return (await this.#call('gc', { ...options, body: request })) as GcResult;
  }
}

class Snapshots {
  readonly #call: Transport;

  constructor(call: Transport) {
    this.#call = call;
  }

  async list(options?: CallOptions): Promise<Snapshot[]> {
    return (await this.#call('listSnapshots', options)) as Snapshot[];
  }

  async get(tag: string, options?: CallOptions): Promise<Snapshot> {
    return (await this.#call('getSnapshot', { ...options, params: { tag } })) as Snapshot;
  }

  /** With sizes and lineage. */
  async info(tag: string, options?: CallOptions): Promise<SnapshotInfo> {
    return (await this.#call('snapshotInfo', { ...options, params: { tag } })) as SnapshotInfo;
  }

  /** Boots and captures; takes as long as the guest needs to boot, a minute without hardware acceleration. */
  async create(request: CreateSnapshotRequest, options?: CallOptions): Promise<Snapshot> {
    return (await this.#call('createSnapshot', { ...options, body: request })) as Snapshot;
  }

  /** At most one of `cascade` (its dependents too) and `force` (although it has some). */
  async delete(
    tag: string,
    { cascade, force, ...options }: CallOptions & { cascade?: boolean; force?: boolean } = {},
  ): Promise<void> {
    await this.#call('deleteSnapshot', { ...options, params: { tag }, query: { cascade, force } });
  }

  /** Folds the snapshot and its ancestors into a new one named `to`. */
  async compact(tag: string, to: string, options?: CallOptions): Promise<Snapshot> {
    return (await this.#call('compactSnapshot', { ...options, params: { tag }, body: { to } })) as Snapshot;
  }
}

class Sandboxes {
  readonly #call: Transport;

  constructor(call: Transport) {
    this.#call = call;
  }

  /** Starts `n` (default 1) sandboxes: all or none. */
  async spawn(request: SpawnRequestInput, options?: CallOptions): Promise<Sandbox[]> {
    return (await this.#call('spawn', { ...options, body: request })) as Sandbox[];
  }

  async list(options?: CallOptions): Promise<Sandbox[]> {
    return (await this.#call('listSandboxes', options)) as Sandbox[];
  }

  async get(id: string, options?: CallOptions): Promise<Sandbox> {
    return (await this.#call('getSandbox', { ...options, params: { id } })) as Sandbox;
  }

  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.#call('removeSandbox', { ...options, params: { id } });
  }

  /** Runs a program in the guest. A status other than 0 is an answer, not an error. */
  async exec(id: string, request: ExecRequestInput, options?: CallOptions): Promise<ExecResult> {
    return (await this.#call('exec', { ...options, params: { id }, body: request })) as ExecResult;
  }

  /** Evaluates an expression in the image's warm interpreter. */
  async eval(id: string, request: EvalRequestInput, options?: CallOptions): Promise<EvalResult> {
    return (await this.#call('evaluate', { ...options, params: { id }, body: request })) as EvalResult;
  }

  async ping(id: string, options?: CallOptions): Promise<PingResult> {
    return (await this.#call('ping', { ...options, params: { id } })) as PingResult;
  }

  /** Sets when and how the sandbox ends; what is not given stays as it is. */
  async setTimeout(id: string, request: TimeoutRequestInput, options?: CallOptions): Promise<Sandbox> {
    return (await this.#call('setTimeout', { ...options, params: { id }, body: request })) as Sandbox;
  }

  /** Captures the sandbox, which keeps running, on failure too. */
  async branch(id: string, request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    return (await this.#call('branch', { ...options, params: { id }, body: request })) as Snapshot;
  }

  /** Branches the sandbox and starts `count` children; each child is a sandbox or an error. */
  async fork(id: string, request: ForkRequestInput = {}, options?: CallOptions): Promise<ForkResult> {
    return (await this.#call('fork', { ...options, params: { id }, body: request })) as ForkResult;
  }
}
