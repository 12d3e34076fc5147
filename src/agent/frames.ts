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

/**
 * Turns chunks of bytes into frames, whatever their boundaries; throws AgentProtocolError and is of no use
 * after that.
 */
export class FrameDecoder {
  readonly #limits: ReadonlyMap<number, number>;
  /** Bytes of a frame that is not whole yet. */
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #neededBytes = HEADER_BYTES;

  constructor(limits: ReadonlyMap<number, number> = AGENT_LIMITS) {
    this.#limits = limits;
  }

  /**
   * Takes the next bytes and yields every frame they complete; payloads are parts of what was pushed. Consume
   * all of it.
   */
  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#neededBytes) return;
    let held = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#heldBytes);
    for (;;) {
      this.#neededBytes = HEADER_BYTES + (held.length < HEADER_BYTES ? 0 : this.#payloadBytes(held));
      if (held.length < this.#neededBytes) break;
      yield { kind: held.readUInt8(0), payload: held.subarray(HEADER_BYTES, this.#neededBytes) };
      held = held.subarray(this.#neededBytes);
    }
    this.#chunks = [held];
    this.#heldBytes = held.length;
  }

  #payloadBytes(held: Buffer): number {
    const kind = held.readUInt8(0);
    const payloadBytes = held.readUInt32BE(1);
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
