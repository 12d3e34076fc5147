/** From a configuration and a host to a listening daemon, and back; sandboxes are not touched when it stops. */

import type { FastifyBaseLogger } from 'fastify';
import type { Server as HttpsServer } from 'node:https';
import { pino } from 'pino';
import { Events } from '../contract/index.js';
import type { Host } from '../sandbox/host/host.js';
import { followCertificate, readCertificate } from './certificate.js';
import { ConfigError, type Config } from './config.js';
import { buildServer } from './server.js';
import type { Shell } from './shell/shell.js';
import { stopShell } from './shell/stop.js';
import { Audit } from './audit.js';
import { Keyring } from './auth/keyring.js';

const defaultDrainMs = 10_000;

export interface Daemon {
  /** Base URL it answers at, e.g. `http://127.0.0.1:8889`. */
  readonly address: string;
  readonly server: Shell;
  /** Idempotent; resolves when the port is closed. */
  close(): Promise<void>;
}

export interface ServeOptions {
  /** For what is no event: requests that failed, and why. */
  readonly log?: FastifyBaseLogger;
  /** Those of the host that is served; by default nobody hears of any. */
  readonly events?: Events;
  /** How long running requests may take to finish once the daemon stops. */
  readonly drainMs?: number;
}

/**
 * Checks that the daemon may listen where it is told to, and starts to. Throws `ConfigError` when it may not:
 * a lax token file or tokens file, a certificate without its key, no token on an address others can reach, an address in use.
 */
export async function serve(config: Config, host: Host, options: ServeOptions = {}): Promise<Daemon> {
  const log = options.log ?? pino({ level: config.logLevel }, pino.destination(2));
  const keyring = await Keyring.open(config);
  const certificate = config.tls && (await readCertificate(config.tls));
  const events = options.events ?? new Events();
  const audit = new Audit(config.auditLog, events.emit);
  events.subscribe((event) => audit.observe(event));
  const { listen: at, allowedOrigins } = config;
  const server = buildServer({ host, listen: at, keyring, allowedOrigins, certificate, log, events });
  const address = await listen(server, config);
  keyring.follow(config.tokensFile, events.emit);
  const following =
    config.tls &&
    certificate &&
    followCertificate(config.tls, certificate.read, server.app.server as unknown as HttpsServer, events.emit);
  events.emit('daemon.listening', { address, token: keyring.isGuarded });

  let closed: Promise<void> | undefined;
  return {
    address,
    server,
    close: () =>
      (closed ??= stopShell(server, options.drainMs ?? defaultDrainMs).finally(() => {
        for (const each of [keyring, following, audit]) each?.close();
      })),
  };
}

async function listen({ app }: Shell, { listen: { host, port } }: Config): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const problem =
      code === 'EADDRINUSE'
        ? 'another process (another bough, perhaps) listens there'
        : code === 'EACCES'
          ? 'this user may not use that port'
          : code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND'
            ? 'this machine has no such address'
            : undefined;
    if (problem === undefined) throw error;
    throw new ConfigError(`Cannot listen on ${host}:${port}: ${problem}`, { cause: error });
  }
}
