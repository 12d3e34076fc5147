/** The daemon as a whole, and the way to its snapshots and sandboxes. */

import type { RouteBodyInput, RouteReply } from '../contract/index.js';
import { Sandboxes } from './sandbox.js';
import { Snapshots } from './snapshot.js';
import { Transport, type CallOptions, type TransportOptions } from './transport.js';

/**
 * A client of one daemon: `new Bough({ url: 'http://127.0.0.1:8889', token })`.
 *
 * Every method rejects with `BoughApiError` (the daemon refused), `BoughUnreachable` (no answer), or the signal's reason.
 */
export class Bough {
  /** What sandboxes start from, and what branching them makes. */
  readonly snapshots: Snapshots;
  /** What runs. */
  readonly sandboxes: Sandboxes;
  /** Calls any route of the API by its name in the route table. */
  readonly transport: Transport;

  constructor(options: TransportOptions) {
    this.transport = new Transport(options);
    this.snapshots = new Snapshots(this.transport);
    this.sandboxes = new Sandboxes(this.transport);
  }

  /** Does the daemon answer? The one call that needs no token. */
  healthz(options?: CallOptions): Promise<RouteReply<'healthz'>> {
    return this.transport.call('healthz', options);
  }

  /** The daemon's version and its API's. */
  version(options?: CallOptions): Promise<RouteReply<'version'>> {
    return this.transport.call('version', options);
  }

  /** Prometheus text. */
  metrics(options?: CallOptions): Promise<RouteReply<'metrics'>> {
    return this.transport.call('metrics', options);
  }

  /** The API as an OpenAPI 3.1 document. */
  openapi(options?: CallOptions): Promise<RouteReply<'openapi'>> {
    return this.transport.call('openapi', options);
  }

  /** Runs the collector; with `dry_run` it only says what it would remove. */
  gc(request: RouteBodyInput<'gc'> = {}, options?: CallOptions): Promise<RouteReply<'gc'>> {
    return this.transport.call('gc', { ...options, body: request });
  }
}
