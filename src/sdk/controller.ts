/**
 * Every call of the API's first form as a method of one flat object, as older programs have it.
 *
 * Requests take the names older programs give them (`snapshotTag`, `timeoutSecs`); whatever else the API takes keeps its name there.
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
  PingResult,
  Sandbox as SandboxInfo,
  Snapshot,
  SnapshotInfo,
  SpawnRequestInput,
  TimeoutRequestInput,
} from '../contract/index.js';
import { Bough } from './client.js';
import type { CallOptions } from './transport.js';

/**
 * Where the daemon is, in an older program's words.
 *
 * @example
 * ```ts
 * const options: ControllerOptions = { baseUrl: 'http://127.0.0.1:8889', timeoutMs: 5000 };
 * console.log(new Controller(options).baseUrl); // http://127.0.0.1:8889
 * ```
 */
export interface ControllerOptions {
  /** As `url` of `Bough`. */
  readonly baseUrl?: string | undefined;
  /** As `token` of `Bough`. */
  readonly token?: string | undefined;
  /** How long each call is waited for; by default for ever, since to boot an image takes as long as it takes. */
  readonly timeoutMs?: number | undefined;
  /** As `fetch` of `Bough`. */
  readonly fetch?: typeof fetch | undefined;
}

/**
 * What `spawnSandboxes` takes.
 *
 * @example
 * ```ts
 * const request: ControllerSpawn = { snapshotTag: 'base', n: 2, memoryLimitMib: 512, env: { LANG: 'C' } };
 * console.log((await controller.spawnSandboxes(request)).length); // 2
 * ```
 */
export interface ControllerSpawn extends Omit<
  SpawnRequestInput,
  'snapshot_tag' | 'memory_limit_mib' | 'per_child_netns'
> {
  /** The snapshot they start from. */
  readonly snapshotTag: string;
  /** As `memory_limit_mib`. */
  readonly memoryLimitMib?: number | undefined;
  /** As `per_child_netns`: accepted and ignored, since every sandbox has a network of its own. */
  readonly perChildNetns?: boolean | undefined;
}

/**
 * What `execCommand` and `evalCode` take besides.
 *
 * @example
 * ```ts
 * const deadline: ControllerDeadline = { timeoutSecs: 5 };
 * const [sandbox] = await controller.spawnSandboxes({ snapshotTag: 'base' });
 * console.log((await controller.execCommand(sandbox?.id ?? '', ['echo', 'on time'], deadline)).stdout.trim()); // on time
 * ```
 */
export interface ControllerDeadline {
  /** The guest's deadline in seconds; 30 if it is not given. */
  readonly timeoutSecs?: number | undefined;
}

/**
 * The daemon by names of its own. What each call does and rejects with is said at its namesake in `bough.snapshots` and `bough.sandboxes`.
 *
 * @example
 * ```ts
 * const [sandbox] = await controller.spawnSandboxes({ snapshotTag: 'base' });
 * const id = sandbox?.id ?? '';
 * console.log((await controller.execCommand(id, ['echo', 'hello'])).stdout.trim()); // hello
 * const snapshot = await controller.branchSandbox(id, { mode: 'live', wait: false });
 * await controller.killSandbox(id);
 * console.log(snapshot.pause_ms); // 1.25
 * ```
 */
export class Controller {
  /** The client behind it. */
  readonly bough: Bough;
  readonly #timeoutMs: number | undefined;

  constructor({ baseUrl, token, timeoutMs, fetch }: ControllerOptions = {}) {
    this.bough = new Bough({ url: baseUrl, token, fetch });
    this.#timeoutMs = timeoutMs;
  }

  /** The daemon's URL. */
  get baseUrl(): string {
    return this.bough.transport.url;
  }

  /** `snapshots.list` */
  listSnapshots(options?: CallOptions): Promise<Snapshot[]> {
    return this.bough.snapshots.list(this.#timed(options));
  }

  /** `snapshots.get` */
  getSnapshot(tag: string, options?: CallOptions): Promise<Snapshot> {
    return this.bough.snapshots.get(tag, this.#timed(options));
  }

  /** `snapshots.info` */
  getSnapshotInfo(tag: string, options?: CallOptions): Promise<SnapshotInfo> {
    return this.bough.snapshots.info(tag, this.#timed(options));
  }

  /** `snapshots.create` */
  createSnapshot(request: CreateSnapshotRequest, options?: CallOptions): Promise<Snapshot> {
    return this.bough.snapshots.create(request, this.#timed(options));
  }

  /** `snapshots.delete` */
  deleteSnapshot(
    tag: string,
    options: CallOptions & { cascade?: boolean; force?: boolean } = {},
  ): Promise<void> {
    return this.bough.snapshots.delete(tag, { ...options, ...this.#timed(options) });
  }

  /** `snapshots.compact` */
  compactSnapshot(tag: string, to: string, options?: CallOptions): Promise<Snapshot> {
    return this.bough.snapshots.compact(tag, to, this.#timed(options));
  }

  /** `sandboxes.spawn` */
  spawnSandboxes(request: ControllerSpawn, options?: CallOptions): Promise<SandboxInfo[]> {
    const { snapshotTag, memoryLimitMib, perChildNetns, ...rest } = request;
    const older = { memory_limit_mib: memoryLimitMib, per_child_netns: perChildNetns };
    const body = { ...rest, ...older, snapshot_tag: snapshotTag };
    return this.bough.sandboxes.spawn(body, this.#timed(options));
  }

  /** `sandboxes.list` */
  listSandboxes(options?: CallOptions): Promise<SandboxInfo[]> {
    return this.bough.sandboxes.list(this.#timed(options));
  }

  /** `sandboxes.get` */
  getSandbox(id: string, options?: CallOptions): Promise<SandboxInfo> {
    return this.bough.sandboxes.get(id, this.#timed(options));
  }

  /** `sandboxes.delete` */
  killSandbox(id: string, options?: CallOptions): Promise<void> {
    return this.bough.sandboxes.delete(id, this.#timed(options));
  }

  /** `sandboxes.exec` */
  execCommand(
    id: string,
    args: readonly string[],
    { timeoutSecs, ...request }: ControllerDeadline & Omit<ExecRequestInput, 'args'> = {},
    options?: CallOptions,
  ): Promise<ExecResult> {
    const body = { timeout_secs: timeoutSecs, ...request, args: [...args] };
    return this.bough.sandboxes.exec(id, body, this.#timed(options));
  }

  /** `sandboxes.eval` */
  evalCode(
    id: string,
    code: string,
    { timeoutSecs, ...request }: ControllerDeadline & Omit<EvalRequestInput, 'code'> = {},
    options?: CallOptions,
  ): Promise<EvalResult> {
    return this.bough.sandboxes.eval(
      id,
      { timeout_secs: timeoutSecs, ...request, code },
      this.#timed(options),
    );
  }

  /** `sandboxes.ping` */
  pingSandbox(id: string, options?: CallOptions): Promise<PingResult> {
    return this.bough.sandboxes.ping(id, this.#timed(options));
  }

  /** `sandboxes.setTimeout` */
  setSandboxTimeout(id: string, request: TimeoutRequestInput, options?: CallOptions): Promise<SandboxInfo> {
    return this.bough.sandboxes.setTimeout(id, request, this.#timed(options));
  }

  /** `sandboxes.branch` */
  branchSandbox(id: string, request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    return this.bough.sandboxes.branch(id, request, this.#timed(options));
  }

  /** `sandboxes.fork` */
  forkSandbox(id: string, request: ForkRequestInput = {}, options?: CallOptions): Promise<ForkResult> {
    return this.bough.sandboxes.fork(id, request, this.#timed(options));
  }

  #timed(options: CallOptions = {}): CallOptions {
    if (this.#timeoutMs === undefined) return options;
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    return { ...options, signal };
  }
}
