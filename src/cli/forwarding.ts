/**
 * A port of this machine's loopback whose connections go to a port of a sandbox, each its own way: what ends or breaks one leaves the
 * others, and the port, as they are.
 */

import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { drained, ResourceStack } from '../base/index.js';
import type { PortConnection } from '../sdk/index.js';

const LOOPBACK = '127.0.0.1';

/** Where connections go, and who hears of those that fail. */
export interface Forwarded {
  readonly connect: () => Promise<PortConnection>;
  readonly onFailure: (error: unknown) => void;
}

export class Forwarding {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a port, with 0 on any that is free. Rejects when that is taken. */
  static async listen(port: number, { connect, onFailure }: Forwarded): Promise<Forwarding> {
    const server = createServer({ allowHalfOpen: true });
    const forwarding = new Forwarding(server);
    server.on('connection', (socket) => {
      forwarding.#keep(socket);
      carry(socket, connect).catch(onFailure);
    });
    server.listen(port, LOOPBACK);
    try {
      await once(server, 'listening');
    } catch (error) {
      throw refused(port, error as NodeJS.ErrnoException);
    }
    return forwarding;
  }

  /** Such as `127.0.0.1:8080`. */
  get address(): string {
    return `${LOOPBACK}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends it, and its connections. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    // Whoever carries it hears of its failure.
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
  }
}

function refused(port: number, cause: NodeJS.ErrnoException): Error {
  const problem = { EADDRINUSE: 'something else listens there', EACCES: 'this user may not' }[
    cause.code ?? ''
  ];
  if (problem === undefined) return cause;
  return new Error(`Cannot listen on ${LOOPBACK}:${port}: ${problem}; 0:PORT takes any port that is free`, {
    cause,
  });
}

/** Resolves when both directions have ended. What breaks on one side is a reset on the other. */
async function carry(socket: Socket, connect: () => Promise<PortConnection>): Promise<void> {
  await using undo = new ResourceStack();
  try {
    const connection = undo.use(await connect());
    await Promise.all([upward(socket, connection), downward(connection, socket)]);
  } catch (error) {
    socket.resetAndDestroy();
    throw error;
  }
}

async function upward(socket: Socket, { writable }: PortConnection): Promise<void> {
  const writer = writable.getWriter();
  const pieces = socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const piece of pieces) await writer.write(piece);
  await writer.close();
}

async function downward({ readable }: PortConnection, socket: Socket): Promise<void> {
  for await (const piece of readable) if (!socket.write(piece) && !socket.destroyed) await drained(socket);
  socket.end();
}
