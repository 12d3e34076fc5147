/** The daemon's HTTP server: the shell with the APIs that are served, and the metrics that listen to it. */

import type { FastifyBaseLogger } from 'fastify';
import { routes, type Events } from '../contract/index.js';
import type { Host } from '../sandbox/host/host.js';
import type { Keyring } from './auth/keyring.js';
import type { AllowedOrigins } from './auth/origins.js';
import type { Certificate } from './certificate.js';
import type { ListenAddress } from './config.js';
import { Metrics } from './metrics.js';
import { portsApi } from './ports/plugin.js';
import { buildShell, type Shell } from './shell/shell.js';
import { branchHandlers } from './v1/branches.js';
import { daemonHandlers } from './v1/daemon.js';
import { eventHandlers } from './v1/events.js';
import { fileHandlers } from './v1/files.js';
import { processHandlers } from './v1/processes.js';
import { networkHandlers } from './v1/network.js';
import { nativeApi } from './v1/plugin.js';
import { portHandlers } from './v1/ports.js';
import { watchHandlers } from './v1/watch.js';
import { sandboxHandlers } from './v1/sandboxes.js';
import { secretHandlers } from './v1/secrets.js';
import { snapshotHandlers } from './v1/snapshots.js';
import { timelineHandlers } from './v1/timeline.js';

export interface ServerOptions {
  readonly host: Host;
  readonly listen: ListenAddress;
  readonly keyring: Keyring;
  /** Whose pages may call, besides the daemon's own. */
  readonly allowedOrigins?: AllowedOrigins | undefined;
  /** Plain HTTP without. */
  readonly certificate?: Certificate | undefined;
  readonly log: FastifyBaseLogger;
  /** Those of the host, to which the server's own are added. */
  readonly events: Events;
}

/** Builds the server with every route of the table. */
export function buildServer(options: ServerOptions): Shell {
  const { host, listen, keyring, allowedOrigins = new Set(), certificate, log, events } = options;
  const metrics = new Metrics(() => host.gauges());
  events.subscribe((event) => metrics.observe(event));
  const handlers = {
    ...daemonHandlers(host, metrics),
    ...eventHandlers(host, events),
    ...snapshotHandlers(host),
    ...sandboxHandlers(host),
    ...branchHandlers(host),
    ...timelineHandlers(host),
    ...processHandlers(host),
    ...networkHandlers(host),
    ...secretHandlers(host),
    ...fileHandlers(host),
    ...watchHandlers(host),
    ...portHandlers(host),
  };
  const door = { listen, keyring, allowedOrigins };
  const apis = [nativeApi({ table: routes, handlers, ...door }), portsApi({ host, ...door })];
  const shell = buildShell({ log, events, apis, certificate });
  metrics.watch(shell.calls);
  return shell;
}
