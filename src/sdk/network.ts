/** The network of one sandbox. */

import type { Network, NetworkCheck, NetworkPolicyInput, NetworkVerdict } from '../contract/v1/network.js';
import { NDJSON_TYPE } from '../contract/v1/stream-types.js';
import { linesOf, type NetworkLogLine } from './lines.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * `sandbox.network`: what a sandbox may reach, and what came of it.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base', { network: { mode: 'off' } });
 * const { policy } = await sandbox.network.set({ mode: 'list', rules: [{ allow: 'pypi.org' }] });
 * console.log(policy.mode); // list
 * ```
 */
export class SandboxNetwork {
  readonly #transport: Transport;
  readonly #params: { readonly id: string };

  constructor(transport: Transport, sandboxId: string) {
    this.#transport = transport;
    this.#params = { id: sandboxId };
  }

  /**
   * The policy, and counts of what came of it.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { policy, open } = await sandbox.network.get();
   * console.log(policy.mode, open); // none 0
   * ```
   */
  get(options?: CallOptions): Promise<Network> {
    return this.#transport.call('getNetwork', { ...options, params: this.#params });
  }

  /**
   * Replaces the policy as a whole. It is in force when this resolves; open connections that it refuses are cut. Rejects with code
   * `network_fixed` where the sandbox was started without a network.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base', { network: { mode: 'off' } });
   * const { policy } = await sandbox.network.set({ mode: 'internet', rules: [{ deny: '*.example.com' }] });
   * console.log(policy.rules.length); // 1
   * ```
   */
  set(policy: NetworkPolicyInput, options?: CallOptions): Promise<Network> {
    return this.#transport.call('setNetwork', { ...options, params: this.#params, body: policy });
  }

  /**
   * What the policy says of a name or an address. Nothing is resolved or connected to.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * console.log((await sandbox.network.check({ host: 'example.com', port: 443 })).verdict); // refused
   * ```
   */
  check(what: NetworkCheck, options?: CallOptions): Promise<NetworkVerdict> {
    return this.#transport.call('checkNetwork', { ...options, params: this.#params, body: what });
  }

  /**
   * What became of its connections, and which names it was refused, oldest first; with `follow`, and from now on. A connection that is lost
   * is not made again.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * for await (const { kind } of sandbox.network.log()) console.log(kind); // tcp
   * ```
   */
  async *log({
    follow,
    ...options
  }: CallOptions & { readonly follow?: boolean | undefined } = {}): AsyncGenerator<
    NetworkLogLine,
    void,
    undefined
  > {
    const parts = { ...options, params: this.#params, query: { follow } };
    yield* linesOf('networkLog', await this.#transport.stream('networkLog', NDJSON_TYPE, parts));
  }
}
