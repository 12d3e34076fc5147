/**
 * A scripted guest agent on a TCP port: the one fake of this protocol. Each connection's request goes to
 * `answer`, which sends whatever frames it likes, sane or not.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { encodeFrame, FrameDecoder, FrameKind, parseObject } from '../../src/agent/frames.js';

export interface FakeAgentConnection {
  readonly socket: Socket;
  /** Bytes of standard input received so far, and whether it has ended. */
  readonly stdin: { bytes: Buffer; ended: boolean };
  /** Told each piece of it, an empty one at its end. */
  onInput?: (piece: Buffer) => void;
  send(kind: number, payload: string | Uint8Array): void;
  /** Sends the END frame. */
  end(value: unknown): void;
}

export type FakeAnswer = (request: Record<string, unknown>, connection: FakeAgentConnection) => void;

const CLIENT_LIMITS = new Map<number, number>([
  [FrameKind.request, 8 << 20],
  [FrameKind.stdin, 1 << 20],
]);

export class FakeAgent {
  /** Every request received, in order. */
  readonly received: Record<string, unknown>[] = [];
  readonly #server: Server;
  readonly #answer: FakeAnswer;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: FakeAnswer) {
    this.#answer = answer;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async listen(answer: FakeAnswer): Promise<FakeAgent> {
    const fake = new FakeAgent(answer);
    fake.#server.listen(0, '127.0.0.1');
    await once(fake.#server, 'listening');
    return fake;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** Connections on which no request has come yet. */
  get waiting(): readonly Socket[] {
    return [...this.#sockets].filter((socket) => socket.bytesRead === 0);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    const decoder = new FrameDecoder(CLIENT_LIMITS);
    const connection: FakeAgentConnection = {
      socket,
      stdin: { bytes: Buffer.alloc(0), ended: false },
      send: (kind, payload) => void socket.write(encodeFrame(kind, Buffer.from(payload))),
      end: (value) => void socket.write(encodeFrame(FrameKind.end, Buffer.from(JSON.stringify(value)))),
    };
    socket.on('data', (chunk: Buffer) => {
      for (const { kind, payload } of decoder.push(chunk)) {
        if (kind === FrameKind.request) this.#take(parseObject(payload), connection);
        else {
          if (payload.length === 0) connection.stdin.ended = true;
          else connection.stdin.bytes = Buffer.concat([connection.stdin.bytes, payload]);
          connection.onInput?.(payload);
        }
      }
    });
  }

  #take(request: Record<string, unknown>, connection: FakeAgentConnection): void {
    this.received.push(request);
    this.#answer(request, connection);
  }
}
