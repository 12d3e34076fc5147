/**
 * A request to become something else (a WebSocket) passed on to a program of a guest: what it says of itself, and then bytes both ways,
 * whatever the program makes of it.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Upgrade } from '../shell/shell.js';
import { withheld, type Way } from './headers.js';

/** Asks for it; there may be no connection yet. */
export function sendUpgrade(
  request: IncomingMessage,
  { head }: Upgrade,
  { connection, path, way }: { readonly connection: Duplex; readonly path: string; readonly way: Way },
): void {
  connection.write(requestHead(request, path, way));
  if (head.length > 0) connection.write(head);
}

/** Resolves when both sides have ended; rejects when one broke. */
export async function join(socket: Duplex, connection: Duplex): Promise<void> {
  socket.pipe(connection);
  connection.pipe(socket);
  await Promise.all([finished(socket), finished(connection)]);
}

function requestHead(
  { method = 'GET', rawHeaders, headers }: IncomingMessage,
  path: string,
  way: Way,
): Buffer {
  const names = withheld(headers, way);
  // Bytes follow as they are, so what says how they are to be read does too.
  for (const kept of ['connection', 'upgrade', 'transfer-encoding']) names.delete(kept);
  const lines = [`${method} ${path} HTTP/1.1`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (!names.has(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
