/** Calls about sandboxes. */

import type {
  BranchRequestInput,
  EvalRequestInput,
  EvalResult,
  ExecRequestInput,
  ExecResult,
  ForkRequestInput,
  ForkResult,
  PingResult,
  Sandbox,
  Snapshot,
  SpawnRequestInput,
  TimeoutRequestInput,
} from '../contract/index.js';
import type { CallOptions, Transport } from './transport.js';

/** `bough.sandboxes` */
export class Sandboxes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Starts `n` (default 1) sandboxes: all or none. */
  spawn(request: SpawnRequestInput, options?: CallOptions): Promise<Sandbox[]> {
    return this.#transport.call('spawn', { ...options, body: request });
  }

  /** Every sandbox. */
  list(options?: CallOptions): Promise<Sandbox[]> {
    return this.#transport.call('listSandboxes', options);
  }

  /** One sandbox. */
  get(id: string, options?: CallOptions): Promise<Sandbox> {
    return this.#transport.call('getSandbox', { ...options, params: { id } });
  }

  /** Ends a sandbox; its process is gone when this resolves. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.#transport.call('removeSandbox', { ...options, params: { id } });
  }

  /** Runs a program in the guest. A status other than 0 is an answer, not an error. */
  exec(id: string, request: ExecRequestInput, options?: CallOptions): Promise<ExecResult> {
    return this.#transport.call('exec', { ...options, params: { id }, body: request });
  }

  /** Evaluates an expression in the image's warm interpreter. */
  eval(id: string, request: EvalRequestInput, options?: CallOptions): Promise<EvalResult> {
    return this.#transport.call('evaluate', { ...options, params: { id }, body: request });
  }

  /** Does the agent in the guest answer? */
  ping(id: string, options?: CallOptions): Promise<PingResult> {
    return this.#transport.call('ping', { ...options, params: { id } });
  }

  /** Sets when and how the sandbox ends; what is not given stays as it is. */
  setTimeout(id: string, request: TimeoutRequestInput, options?: CallOptions): Promise<Sandbox> {
    return this.#transport.call('setTimeout', { ...options, params: { id }, body: request });
  }

  /** Captures the sandbox, which keeps running, on failure too. */
  branch(id: string, request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('branch', { ...options, params: { id }, body: request });
  }

  /** Branches the sandbox and starts `count` children; each child is a sandbox or an error. */
  fork(id: string, request: ForkRequestInput = {}, options?: CallOptions): Promise<ForkResult> {
    return this.#transport.call('fork', { ...options, params: { id }, body: request });
  }
}
