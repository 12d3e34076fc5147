/** TCP ports of one sandbox. */

import { ConnectionState, PortConnection } from './port-connection.js';
import { fillPath } from './target.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * `sandbox.ports`: programs that listen in a sandbox, on its loopback or on all addresses. No port of the host is opened for them.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const answer = await sandbox.ports.fetch(1, '/health'); // where nobody listens
 * console.log(answer.status); // 502
 * ```
 */
export class SandboxPorts {
  readonly #transport: Transport;
  readonly #id: string;

  constructor(transport: Transport, sandboxId: string) {
    this.#transport = transport;
    this.#id = sandboxId;
  }

  /**
   * Where a program that serves HTTP on a port is found, by whoever may call the daemon. In a browser a page has no origin there: see the
   * guide to ports.
   *
   * @example
   * ```ts
   * const sandbox = bough.sandbox('box');
   * console.log(sandbox.ports.url(8080, '/docs').replace(/^.*(?=\/s\/)/, '')); // /s/box/p/8080/docs
   * ```
   */
  url(port: number, path = '/'): string {
    const place = fillPath('/s/:id/p/:port', { id: this.#id, port });
    return `${this.#transport.url}${place}${path.startsWith('/') ? path : `/${path}`}`;
  }

  /**
   * As `fetch`, of a program that serves HTTP on a port. Where none does, the answer is the daemon's, a 502. Redirects are not followed:
   * they are answers.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const answer = await sandbox.ports.fetch(1, '/items?page=2', { method: 'POST', body: 'hello' });
   * console.log(answer.status, (await answer.json()).code); // 502 port_unreachable
   * ```
   */
  fetch(port: number, path = '/', init?: RequestInit): Promise<Response> {
    return this.#transport.fetchPort({ id: this.#id, port }, path, init);
  }

  /**
   * Connects to a port, over a WebSocket (see `TransportOptions`). That nobody listens there is told by the connection's streams.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const connection: PortConnection = await sandbox.ports.connect(5432);
   * console.log(connection.writable.locked); // false
   * connection.close();
   * ```
   */
  async connect(port: number, { signal }: CallOptions = {}): Promise<PortConnection> {
    const state = new ConnectionState({ url: this.#transport.url, signal });
    const parts = { params: { id: this.#id, port }, signal };
    state.opened(await this.#transport.socket('connectPort', state, parts));
    return new PortConnection(state);
  }
}
