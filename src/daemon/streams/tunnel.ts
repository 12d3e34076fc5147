/**
 * A WebSocket as a connection: its messages are bytes, and an empty one is the end of that direction. Neither side is read faster than the
 * other takes it.
 */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { WebSocket } from 'ws';
import { drained } from '../../base/index.js';
import { messagesFrom, sendMessage } from './socket.js';

/** Resolves when both directions have ended or the client is gone; rejects with what went wrong with the connection. */
export async function tunnel(socket: WebSocket, connection: Duplex): Promise<void> {
  await Promise.all([upward(socket, connection), downward(connection, socket), finished(connection)]);
}

async function upward(socket: WebSocket, connection: Duplex): Promise<void> {
  for await (const bytes of messagesFrom(socket)) {
    if (bytes.length === 0) {
      connection.end();
      return;
    }
    if (!connection.write(bytes) && !connection.destroyed) await drained(connection);
  }
}

async function downward(connection: Duplex, socket: WebSocket): Promise<void> {
  const pieces = connection.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const piece of pieces) await sendMessage(socket, piece);
  await sendMessage(socket, new Uint8Array());
}
