/** A server over a fake host, without a port, and raw sockets for what no client library would send. */

import { connect } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import { pino } from 'pino';
import { Events, type RouteTable } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { buildServer } from '../../src/daemon/server.js';
import type { HandlersOf } from '../../src/daemon/rows/handlers.js';
import { portsApi } from '../../src/daemon/ports/plugin.js';
import { limits, type Limits } from '../../src/daemon/shell/limits.js';
import { buildShell, type Shell } from '../../src/daemon/shell/shell.js';
import { nativeApi } from '../../src/daemon/v1/plugin.js';
import { Keyring } from '../../src/daemon/auth/keyring.js';
import { tokenCheck } from '../../src/daemon/auth/token.js';
import { fakeHost, type FakeHost } from '../support/fake-host.js';

export const silent = pino({ level: 'silent' });
export const token = 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y';

/** One token, or none. */
export function keyringOf(token: string | undefined): Keyring {
  return new Keyring(token === undefined ? undefined : tokenCheck(token));
}

export interface TestServer extends Shell {
  readonly host: FakeHost;
  readonly events: Events;
}

export function testServer(
  script: Partial<Host> = {},
  options: {
    token?: string;
    keyring?: Keyring;
    listenHost?: string;
    allowedOrigins?: readonly string[];
  } = {},
): TestServer {
  const host = fakeHost(script);
  const events = new Events();
  const listenHost = options.listenHost ?? '127.0.0.1';
  const server = buildServer({
    host,
    listen: { host: listenHost, port: 0, isLoopback: listenHost === '127.0.0.1' },
    keyring: options.keyring ?? keyringOf(options.token),
    allowedOrigins: new Set(options.allowedOrigins),
    log: silent,
    events,
  });
  return Object.assign(server, { host, events });
}

export interface ListeningShell extends Shell {
  readonly events: Events;
  readonly address: string;
  readonly port: number;
}

/** The native API with other rows than its own, and ports of sandboxes of the host, listening on loopback. */
export async function listeningShell<T extends RouteTable>(
  table: T,
  handlers: HandlersOf<T>,
  {
    token,
    host = fakeHost(),
    log = silent,
    ...given
  }: Partial<Limits> & {
    token?: string | undefined;
    host?: Host | undefined;
    log?: FastifyBaseLogger | undefined;
  } = {},
): Promise<ListeningShell> {
  const events = new Events();
  const listen = { host: '127.0.0.1', port: 0, isLoopback: true };
  const keyring = keyringOf(token);
  const door = { listen, keyring, allowedOrigins: new Set<string>() };
  const apis = [nativeApi({ table, handlers, ...door }), portsApi({ host, ...door })];
  const shell = buildShell({ log, events, apis, limits: { ...limits, ...given } });
  const address = await shell.app.listen(listen);
  return Object.assign(shell, { events, address, port: Number(new URL(address).port) });
}

/** Sends bytes as they are and resolves with everything that came back until the peer closed. */
export async function rawExchange(port: number, text: string, timeoutMs = 5000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    let received = '';
    socket.setTimeout(timeoutMs, () =>
      socket.destroy(new Error(`no end after ${timeoutMs} ms: ${received}`)),
    );
    socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}
