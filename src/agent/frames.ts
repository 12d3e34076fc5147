/**
 * Frames of the agent protocol: one byte kind, four bytes length (big-endian), payload. See
 * docs/internals/agent-protocol.md; the twin is native/agent/frames.h.
 *
 * The guest is not trusted: kinds and lengths are checked before a payload is waited for, so it can make us
 * hold at most one frame.
 */
import { AgentProtocolError } from './errors.js';

/** First byte of a frame. */
export const FrameKind = {
  reset: 0,
  request: 1,
  stdin: 2,
  stdout: 3,
  stderr: 4,
  pty: 5,
  file: 6,
  event: 7,
  control: 8,
  end: 9,
  /** Of serial ports only (serial-port.ts), as `reset`. */
  hello: 10,
  close: 11,
} as const;

export interface Frame<Payload extends Uint8Array = Buffer> {
  readonly kind: number;
  readonly payload: Payload;
}

export const HEADER_BYTES = 5;

/** What an agent may send, and how much in one frame. */
export const AGENT_LIMITS = new Map<number, number>([
  [FrameKind.stdout, 1 << 20],
  [FrameKind.stderr, 1 << 20],
  [FrameKind.pty, 1 << 20],
  [FrameKind.file, 1 << 20],
  [FrameKind.event, 1 << 20],
  [FrameKind.end, 32 << 20],
]);

/** Longest request the agent takes. */
export const MAX_REQUEST_BYTES = 8 << 20;

/** The frame as bytes. */
export function encodeFrame(kind: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(kind, 0);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}

/** Several of them, to be sent in one piece. */
export function encodeFrames(frames: readonly Frame<Uint8Array>[]): Buffer {
  return Buffer.concat(frames.map(({ kind, payload }) => encodeFrame(kind, payload)));
}

/** A payload has so much room before its bytes come, and twice as much whenever they need it. */
const FIRST_ROOM_BYTES = 1 << 20;

/**
 * Turns chunks of bytes into frames, whatever their boundaries; throws AgentProtocolError and is of no use
 * after that.
 */
export class FrameDecoder {
  readonly #limits: ReadonlyMap<number, number>;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Of the frame whose header is whole. */
  #payload = Buffer.alloc(0);
  #payloadBytes = 0;
  #filledBytes = 0;

  constructor(limits: ReadonlyMap<number, number> = AGENT_LIMITS) {
    this.#limits = limits;
  }

  /**
   * Takes the next bytes and yields every frame they complete. Payloads are copies: the chunk may be written again. Consume
   * all of it.
   */
  *push(chunk: Buffer): Generator<Frame> {
    for (let at = 0; at < chunk.length;) {
      if (this.#headerBytes < HEADER_BYTES) at += this.#takeHeader(chunk, at);
      else at += this.#takePayload(chunk, at);
      if (this.#headerBytes < HEADER_BYTES || this.#filledBytes < this.#payloadBytes) continue;
      this.#headerBytes = 0;
      yield { kind: this.#header.readUInt8(0), payload: this.#payload };
    }
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const count = chunk.copy(this.#header, this.#headerBytes, at);
    this.#headerBytes += count;
    if (this.#headerBytes < HEADER_BYTES) return count;
    this.#payloadBytes = this.#checkedBytes(this.#header);
    this.#payload = Buffer.allocUnsafe(Math.min(this.#payloadBytes, FIRST_ROOM_BYTES));
    this.#filledBytes = 0;
    return count;
  }

  #takePayload(chunk: Buffer, at: number): number {
    if (this.#filledBytes === this.#payload.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#payloadBytes, 2 * this.#filledBytes));
      this.#payload.copy(larger);
      this.#payload = larger;
    }
    const count = chunk.copy(this.#payload, this.#filledBytes, at);
    this.#filledBytes += count;
    return count;
  }

  #checkedBytes(header: Buffer): number {
    const kind = header.readUInt8(0);
    const payloadBytes = header.readUInt32BE(1);
    const limit = this.#limits.get(kind);
    if (limit === undefined) throw new AgentProtocolError(`The guest sent a frame of unknown kind ${kind}`);
    if (payloadBytes > limit) {
      throw new AgentProtocolError(
        `The guest sent a frame of kind ${kind} with ${payloadBytes} bytes; the limit is ${limit}`,
      );
    }
    return payloadBytes;
  }
}

/** The JSON object in a frame. */
export function parseObject(payload: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  } catch (cause) {
    throw new AgentProtocolError('The guest sent an answer that is not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AgentProtocolError('The guest sent an answer that is not an object');
  }
  return value as Record<string, unknown>;
}
