/** A server over a fake host, without a port, and raw sockets for what no client library would send. */

import { connect } from 'node:net';
import { pino } from 'pino';
import { Events } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { buildServer, type Server } from '../../src/daemon/server.js';
import { tokenCheck } from '../../src/daemon/token.js';
import { fakeHost, type FakeHost } from '../support/fake-host.js';

export const silent = pino({ level: 'silent' });
export const token = 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y';

export interface TestServer extends Server {
  readonly host: FakeHost;
  readonly events: Events;
}

export function testServer(
  script: Partial<Host> = {},
  options: { token?: string; listenHost?: string } = {},
): TestServer {
  const host = fakeHost(script);
  const events = new Events();
  const listenHost = options.listenHost ?? '127.0.0.1';
  const server = buildServer({
    host,
    listen: { host: listenHost, port: 0, isLoopback: listenHost === '127.0.0.1' },
    isToken: options.token === undefined ? undefined : tokenCheck(options.token),
    log: silent,
    events,
  });
  return Object.assign(server, { host, events });
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
