/** A gate as the egress sees it: a control connection, and one for each of a guest's. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { FrameReader, FrameType, writeFrame, type Frame } from '../../src/network/egress/frames.js';

/** A DNS query; type 1 asks for an address. */
export function query(name: string, type = 1): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(`\0${label}`, 'latin1'));
  for (const label of labels) label[0] = label.length - 1;
  const header = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...(name === '' ? [] : labels), Buffer.from([0, 0, type, 0, 1])]);
}

/** A guest's connection: what the egress said of it, and then its bytes. */
export interface GuestConnection {
  readonly verdict: 'accepted' | 'refused';
  readonly socket: Socket;
  readonly seq: number;
}

export class FakeGate {
  readonly control: Socket;
  readonly #ended = new Set<number>();
  readonly #path: string;
  readonly #frames: Frame[] = [];
  #lastSeq = 0;

  private constructor(path: string, control: Socket) {
    this.#path = path;
    this.control = control;
    const reader = new FrameReader();
    control.on('error', () => undefined);
    control.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) this.#take(frame);
    });
  }

  static async connect(path: string, flags = 1): Promise<FakeGate> {
    const control = connect(path);
    await once(control, 'connect');
    const gate = new FakeGate(path, control);
    control.write(writeFrame({ type: FrameType.hello, seq: 0, payload: Buffer.from([0, 0, 0, flags]) }));
    return gate;
  }

  /** The answer to a query, as a DNS message. */
  async ask(name: string, type = 1): Promise<Buffer> {
    const seq = ++this.#lastSeq;
    const payload = Buffer.concat([Buffer.from([8, 8, 8, 8, 0, 53]), query(name, type)]);
    this.control.write(writeFrame({ type: FrameType.query, seq, payload }));
    for (;;) {
      const at = this.#frames.findIndex((frame) => frame.seq === seq);
      const [frame] = at === -1 ? [] : this.#frames.splice(at, 1);
      if (frame !== undefined) return frame.payload.subarray(6);
      await once(this.control, 'data');
    }
  }

  async dial(address: string, port: number): Promise<GuestConnection> {
    const seq = ++this.#lastSeq;
    const socket = connect({ path: this.#path, allowHalfOpen: true });
    const bytes = Buffer.from([...address.split('.').map(Number), port >> 8, port & 255]);
    socket.on('error', () => undefined);
    socket.write(writeFrame({ type: FrameType.connect, seq, payload: bytes }));
    const verdict = await new Promise<number | undefined>((resolve) => {
      socket.once('readable', () => resolve((socket.read(1) as Buffer | null)?.[0]));
    });
    return { verdict: verdict === 0 ? 'accepted' : 'refused', socket, seq };
  }

  /** Whether the egress has said that a connection was sent whole: all it said by now is taken in first. */
  async isEnded(seq: number): Promise<boolean> {
    await this.ask('');
    return this.wasEnded(seq);
  }

  /** The same as far as it was read. */
  wasEnded(seq: number): boolean {
    return this.#ended.has(seq);
  }

  close(): void {
    this.control.destroy();
  }

  #take(frame: Frame): void {
    if (frame.type === FrameType.end) this.#ended.add(frame.seq);
    else this.#frames.push(frame);
  }
}
