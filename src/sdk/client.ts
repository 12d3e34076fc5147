/** The daemon as a whole, and the way to its snapshots and sandboxes. */

import type {
  EventGap,
  RouteBodyInput,
  RouteReply,
  SandboxEvent,
  SpawnRequestInput,
} from '../contract/index.js';
import { eventsOf, type EventRange } from './events.js';
import type { StreamOptions } from './reconnect.js';
import { Sandbox } from './sandbox.js';
import { Sandboxes } from './sandboxes.js';
import { Secrets } from './secrets.js';
import { Snapshots } from './snapshots.js';
import { Transport, type CallOptions, type TransportOptions } from './transport.js';

/**
 * A client of one daemon. Without a URL it is the one that BOUGH_URL names, and without that `http://127.0.0.1:8889`.
 *
 * Every method rejects with `BoughApiError` (the daemon refused), `BoughUnreachable` (no answer), or the signal's reason.
 *
 * @example
 * ```ts
 * const local = new Bough();
 * const other = new Bough({ url: 'https://bough.example', token: 'the token' });
 * console.log((await local.version()).api, other.transport.url); // v1 https://bough.example
 * ```
 */
export class Bough {
  /** What sandboxes start from, and what branching them makes. */
  readonly snapshots: Snapshots;
  /** What runs. */
  readonly sandboxes: Sandboxes;
  /** What is put into requests of sandboxes, and in no sandbox. */
  readonly secrets: Secrets;
  /** Calls any route of the API by its name in the route table. */
  readonly transport: Transport;

  constructor(options: TransportOptions = {}) {
    this.transport = new Transport(options);
    this.snapshots = new Snapshots(this.transport);
    this.sandboxes = new Sandboxes(this.transport);
    this.secrets = new Secrets(this.transport);
  }

  /**
   * Starts one sandbox from a snapshot. Rejects with codes `snapshot_not_found`, `snapshot_not_usable`, `snapshot_incompatible`,
   * `no_memory`.
   *
   * @example
   * ```ts
   * await using sandbox = await bough.spawn('base', { timeout_secs: 3600 });
   * console.log((await sandbox.info()).snapshot_tag); // base
   * ```
   */
  async spawn(
    snapshotTag: string,
    request: Omit<SpawnRequestInput, 'snapshot_tag' | 'n'> = {},
    options?: CallOptions,
  ): Promise<Sandbox> {
    const [sandbox] = await this.spawnMany(snapshotTag, 1, request, options);
    if (sandbox === undefined) throw new TypeError('The daemon started no sandbox, and did not say why');
    return sandbox;
  }

  /**
   * Starts `count` sandboxes, 1 to 1000: all of them or none.
   *
   * @example
   * ```ts
   * const sandboxes = await bough.spawnMany('base', 3);
   * console.log(sandboxes.length); // 3
   * ```
   */
  async spawnMany(
    snapshotTag: string,
    count: number,
    request: Omit<SpawnRequestInput, 'snapshot_tag' | 'n'> = {},
    options?: CallOptions,
  ): Promise<Sandbox[]> {
    const started = await this.sandboxes.spawn({ ...request, snapshot_tag: snapshotTag, n: count }, options);
    return started.map(({ id }) => new Sandbox(this.sandboxes, id));
  }

  /**
   * The sandbox of that id or name, as an object. Asks nobody whether there is one.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandbox(id).ping()).pong); // true
   * ```
   */
  sandbox(id: string): Sandbox {
    return new Sandbox(this.sandboxes, id);
  }

  /**
   * What happens to sandboxes, from now on or from an event on, without end. A lost connection is made again from the last event on; what
   * the daemon no longer has is told by a `gap`. Before the first event there is nothing to go on from: what happens while that connection
   * is lost is not told.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * for await (const told of bough.events({ from: 'oldest' })) {
   *   if (told.event !== 'gap') console.log(told.event, told.sandbox === id); // created true
   *   break;
   * }
   * ```
   */
  events(
    range: EventRange = {},
    options: StreamOptions = {},
  ): AsyncGenerator<SandboxEvent | EventGap, void, undefined> {
    return eventsOf(this.transport, undefined, range, options);
  }

  /**
   * Does the daemon answer? The one call that needs no token.
   *
   * @example
   * ```ts
   * console.log(await bough.healthz()); // { ok: true }
   * ```
   */
  healthz(options?: CallOptions): Promise<RouteReply<'healthz'>> {
    return this.transport.call('healthz', options);
  }

  /**
   * The daemon's version and its API's.
   *
   * @example
   * ```ts
   * console.log((await bough.version()).api); // v1
   * ```
   */
  version(options?: CallOptions): Promise<RouteReply<'version'>> {
    return this.transport.call('version', options);
  }

  /**
   * Prometheus text.
   *
   * @example
   * ```ts
   * const text = await bough.metrics();
   * console.log(text.includes('bough_')); // true
   * ```
   */
  metrics(options?: CallOptions): Promise<RouteReply<'metrics'>> {
    return this.transport.call('metrics', options);
  }

  /**
   * The API as an OpenAPI 3.1 document.
   *
   * @example
   * ```ts
   * const { openapi } = await bough.openapi();
   * console.log(openapi); // 3.1.0
   * ```
   */
  openapi(options?: CallOptions): Promise<RouteReply<'openapi'>> {
    return this.transport.call('openapi', options);
  }

  /**
   * Runs the collector; with `dry_run` it only says what it would remove.
   *
   * @example
   * ```ts
   * const { removed } = await bough.gc({ dry_run: true });
   * console.log(removed.length); // 0
   * ```
   */
  gc(request: RouteBodyInput<'gc'> = {}, options?: CallOptions): Promise<RouteReply<'gc'>> {
    return this.transport.call('gc', { ...options, body: request });
  }
}
