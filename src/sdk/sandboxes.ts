/** Calls about sandboxes, by their ids. */

import type {
  BranchRequestInput,
  EvalRequestInput,
  EvalResult,
  ExecRequestInput,
  ExecResult,
  ForkRequestInput,
  ForkResult,
  PingResult,
  Sandbox as SandboxInfo,
  Snapshot,
  SpawnRequestInput,
  TimeoutRequestInput,
} from '../contract/index.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * `bough.sandboxes`: what runs, by ids. `bough.spawn()` gives objects instead.
 *
 * @example
 * ```ts
 * const started = await bough.sandboxes.spawn({ snapshot_tag: 'base', n: 2, metadata: { job: 'tests' } });
 * for (const { id } of started) await bough.sandboxes.delete(id);
 * ```
 */
export class Sandboxes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Starts `n` (default 1) sandboxes: all or none.
   *
   * @example
   * ```ts
   * const started = await bough.sandboxes.spawn({ snapshot_tag: 'base', n: 2 });
   * console.log(started.length); // 2
   * ```
   */
  spawn(request: SpawnRequestInput, options?: CallOptions): Promise<SandboxInfo[]> {
    return this.#transport.call('spawn', { ...options, body: request });
  }

  /**
   * Every sandbox.
   *
   * @example
   * ```ts
   * await bough.sandboxes.spawn({ snapshot_tag: 'base' });
   * console.log((await bough.sandboxes.list()).map(({ state }) => state)); // [ 'running' ]
   * ```
   */
  list(options?: CallOptions): Promise<SandboxInfo[]> {
    return this.#transport.call('listSandboxes', options);
  }

  /**
   * One sandbox.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.get(id)).branch_count); // 0
   * ```
   */
  get(id: string, options?: CallOptions): Promise<SandboxInfo> {
    return this.#transport.call('getSandbox', { ...options, params: { id } });
  }

  /**
   * Ends a sandbox; its process is gone when this resolves.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.delete(id);
   * console.log((await bough.sandboxes.list()).length); // 0
   * ```
   */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.#transport.call('removeSandbox', { ...options, params: { id } });
  }

  /**
   * Runs a program in the guest. A status other than 0 is an answer, not an error.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { exit_code } = await bough.sandboxes.exec(id, { args: ['false'] });
   * console.log(exit_code); // 1
   * ```
   */
  exec(id: string, request: ExecRequestInput, options?: CallOptions): Promise<ExecResult> {
    return this.#transport.call('exec', { ...options, params: { id }, body: request });
  }

  /**
   * Evaluates an expression in the image's warm interpreter.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.eval(id, { code: '6 * 7' })).result); // 42
   * ```
   */
  eval(id: string, request: EvalRequestInput, options?: CallOptions): Promise<EvalResult> {
    return this.#transport.call('evaluate', { ...options, params: { id }, body: request });
  }

  /**
   * Does the agent in the guest answer?
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.ping(id)).pong); // true
   * ```
   */
  ping(id: string, options?: CallOptions): Promise<PingResult> {
    return this.#transport.call('ping', { ...options, params: { id } });
  }

  /**
   * Sets when and how the sandbox ends; what is not given stays as it is.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.setTimeout(id, { idle_timeout_secs: 600, on_end: 'snapshot' });
   * ```
   */
  setTimeout(id: string, request: TimeoutRequestInput, options?: CallOptions): Promise<SandboxInfo> {
    return this.#transport.call('setTimeout', { ...options, params: { id }, body: request });
  }

  /**
   * Captures the sandbox, which keeps running, on failure too.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { status } = await bough.sandboxes.branch(id, { wait: false });
   * console.log(status); // writing
   * ```
   */
  branch(id: string, request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('branch', { ...options, params: { id }, body: request });
  }

  /**
   * Branches the sandbox and starts `count` children; each child is a sandbox or an error.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { children } = await bough.sandboxes.fork(id, { count: 2 });
   * console.log(children.map((child) => ('sandbox' in child ? 'runs' : child.error))); // [ 'runs', 'runs' ]
   * ```
   */
  fork(id: string, request: ForkRequestInput = {}, options?: CallOptions): Promise<ForkResult> {
    return this.#transport.call('fork', { ...options, params: { id }, body: request });
  }
}
