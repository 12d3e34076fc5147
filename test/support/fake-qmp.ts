/**
 * A scripted QMP server on a Unix socket: the one fake of this protocol.
 * Commands are answered by `commands`; tests may also send raw bytes, sane or not, to every client.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { messageOf } from '../../src/base/index.js';

export const GREETING =
  '{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}';

/**
 * Computes the return value of a command; a thrown Error becomes a GenericError; `FakeQmp.SILENT` sends no
 * answer.
 */
export type FakeCommand = (args: Record<string, unknown>, server: FakeQmp) => unknown;

export interface FakeQmpScript {
  greeting?: string;
  commands?: Record<string, FakeCommand>;
}

export class FakeQmp {
  static readonly SILENT = Symbol('no answer');
  /** Every command received, in order. */
  readonly received: { execute: string; arguments?: Record<string, unknown>; id: number }[] = [];
  readonly socketPath: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #script: FakeQmpScript;

  private constructor(socketPath: string, script: FakeQmpScript) {
    this.socketPath = socketPath;
    this.#script = script;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async listen(socketPath: string, script: FakeQmpScript = {}): Promise<FakeQmp> {
    const fake = new FakeQmp(socketPath, script);
    fake.#server.listen(socketPath);
    await once(fake.#server, 'listening');
    return fake;
  }

  /** Sends bytes as they are to every client. */
  send(raw: string | Buffer): void {
    for (const socket of this.#sockets) socket.write(raw);
  }

  emitEvent(event: string, data: Record<string, unknown> = {}): void {
    const timestamp = { seconds: 1, microseconds: 2000 };
    this.send(`${JSON.stringify({ event, data, timestamp })}\r\n`);
  }

  /** Closes every connection, as a dying QEMU would. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.disconnect();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.write(this.#script.greeting ?? `${GREETING}\r\n`);
    createInterface(socket)
      .on('line', (line) => this.#answer(socket, line))
      .on('error', () => socket.destroy());
  }

  #answer(socket: Socket, line: string): void {
    const request = JSON.parse(line) as FakeQmp['received'][number];
    this.received.push(request);
    const { id } = request;
    const command = this.#script.commands?.[request.execute];
    if (command === undefined && request.execute !== 'qmp_capabilities') {
      const error = { class: 'CommandNotFound', desc: `The command ${request.execute} has not been found` };
      socket.write(`${JSON.stringify({ error, id })}\r\n`);
      return;
    }
    try {
      const value = command === undefined ? {} : command(request.arguments ?? {}, this);
      if (value !== FakeQmp.SILENT) socket.write(`${JSON.stringify({ return: value, id })}\r\n`);
    } catch (error) {
      const desc = messageOf(error);
      socket.write(`${JSON.stringify({ error: { class: 'GenericError', desc }, id })}\r\n`);
    }
  }
}
