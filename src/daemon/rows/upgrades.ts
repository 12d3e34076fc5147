/**
 * Which requests become WebSockets.
 *
 * Node hands a connection over, parser and all, as soon as a request asks for any upgrade and anybody listens for that. Only what asks for
 * a WebSocket at a socket row goes that way; every other request comes back without the question, as if nobody had listened: clients in
 * other languages ask for HTTP/2 in passing, and send a body that would be lost.
 */
import websocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { Server, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pathPattern } from '../shell/not-found.js';

/** Makes this context able to hold socket rows of these paths. */
export async function openSockets(
  app: FastifyInstance,
  paths: readonly string[],
  limitBytes: number,
): Promise<void> {
  const patterns = paths.map(pathPattern);
  // All that is asked of this one is to tell of upgrades.
  const upgradeServer = new Server();
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    const isOurs = request.headers.upgrade?.toLowerCase() === 'websocket' && request.method === 'GET';
    if (isOurs && patterns.some((pattern) => pattern.test(path)))
      upgradeServer.emit('upgrade', request, socket, head);
    else {
      socket.unshift(Buffer.concat([Buffer.from(withoutUpgrade(request), 'latin1'), head]));
      app.server.emit('connection', socket);
    }
  });
  await app.register(websocket, { options: { server: upgradeServer, maxPayload: limitBytes } });
}

function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  const lines = [`${method ?? ''} ${url ?? ''} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (name.toLowerCase() === 'upgrade') continue;
    const kept =
      name.toLowerCase() === 'connection'
        ? value.replace(/\bupgrade\b/gi, '').replace(/^[\s,]+|[\s,]+$/g, '')
        : value;
    lines.push(`${name}: ${kept}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
