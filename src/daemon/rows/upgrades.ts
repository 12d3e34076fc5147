/**
 * Which requests become WebSockets.
 *
 * Node hands a connection over, parser and all, as soon as a request asks for any upgrade and anybody listens for that. Only what asks for
 * a WebSocket at a socket row, or of an API that has its own way with them, goes that way; every other request comes back without the
 * question, as if nobody had listened: clients in other languages ask for HTTP/2 in passing, and send a body that would be lost.
 */
import websocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { Server, ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { pathPattern } from '../shell/not-found.js';
import type { Shell } from '../shell/shell.js';

/** Makes this context able to hold socket rows of these paths. */
export async function openSockets(
  app: FastifyInstance,
  paths: readonly string[],
  { limits, isClaimed, upgrades }: Pick<Shell, 'limits' | 'isClaimed' | 'upgrades'>,
): Promise<void> {
  const patterns = paths.map(pathPattern);
  // All that is asked of this one is to tell of upgrades.
  const upgradeServer = new Server();
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    const isOurs = request.headers.upgrade?.toLowerCase() === 'websocket' && request.method === 'GET';
    if (isOurs && isClaimed(request)) {
      // Node has taken its own listener away.
      socket.on('error', () => void socket.destroy());
      const response = responseOn(socket, request);
      if (response === undefined) return;
      upgrades.set(request, { socket, head });
      app.routing(request, response);
    } else if (isOurs && patterns.some((pattern) => pattern.test(path)))
      upgradeServer.emit('upgrade', request, socket, head);
    else {
      socket.unshift(Buffer.concat([Buffer.from(withoutUpgrade(request), 'latin1'), head]));
      // What is behind TLS already is not to be asked for it once more.
      app.server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket);
    }
  });
  await app.register(websocket, { options: { server: upgradeServer, maxPayload: limits.bodyLimitBytes } });
}

/** Undefined, and the end of the connection, when an earlier request on it has not been answered yet. */
function responseOn(socket: Duplex, request: IncomingMessage): ServerResponse | undefined {
  const response = new ServerResponse(request);
  try {
    // Of a server on TCP, each connection is a socket.
    response.assignSocket(socket as unknown as Socket);
    return response;
  } catch {
    socket.destroy();
    return undefined;
  }
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
