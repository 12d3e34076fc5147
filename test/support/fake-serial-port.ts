/** A guest's end of a serial port, as QEMU shows it: a Unix socket that one at a time is connected to. What it does is scripted. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { encodeFrame, FrameDecoder, FrameKind, parseObject } from '../../src/agent/frames.js';

const CLIENT_LIMITS = new Map<number, number>([
  [FrameKind.hello, 16],
  [FrameKind.request, 8 << 20],
  [FrameKind.stdin, 1 << 20],
  [FrameKind.close, 0],
]);

/** What comes; each may say something, and the default is an agent that is well. */
interface Script {
  readonly onHello?: (port: FakeSerialPort, greeting: Buffer) => void;
  readonly onRequest: (port: FakeSerialPort, request: Record<string, unknown>) => void;
  readonly onClose?: (port: FakeSerialPort) => void;
}

export class FakeSerialPort {
  /** Kinds of all frames received. */
  readonly received: number[] = [];
  readonly #script: Script;
  readonly #server: Server;
  #socket: Socket | undefined;
  connectionCount = 0;

  private constructor(script: Script) {
    this.#script = script;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async listen(path: string, script: Script): Promise<FakeSerialPort> {
    const port = new FakeSerialPort(script);
    port.#server.listen(path);
    await once(port.#server, 'listening');
    return port;
  }

  write(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  send(kind: number, payload: string | Uint8Array = ''): void {
    this.write(encodeFrame(kind, Buffer.from(payload)));
  }

  /** Sends the END frame. */
  end(value: unknown): void {
    this.send(FrameKind.end, JSON.stringify(value));
  }

  /** As when its VMM ends. */
  hangUp(): void {
    this.#socket?.destroy();
  }

  get isConnected(): boolean {
    return this.#socket?.destroyed === false;
  }

  /** Of what it wrote, what nobody has taken. */
  get heldBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  async close(): Promise<void> {
    this.hangUp();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.connectionCount += 1;
    this.#socket = socket;
    socket.on('error', () => undefined);
    const decoder = new FrameDecoder(CLIENT_LIMITS);
    socket.on('data', (chunk: Buffer) => {
      for (const { kind, payload } of decoder.push(chunk)) this.#take(kind, payload);
    });
  }

  #take(kind: number, payload: Buffer): void {
    const { onHello, onRequest, onClose } = this.#script;
    this.received.push(kind);
    if (kind === FrameKind.hello)
      (onHello ?? ((port, greeting) => port.send(FrameKind.hello, greeting)))(this, payload);
    if (kind === FrameKind.request) onRequest(this, parseObject(payload));
    if (kind === FrameKind.close) (onClose ?? ((port) => port.send(FrameKind.close)))(this);
  }
}
