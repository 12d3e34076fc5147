/**
 * Frames, in which output comes with every byte as it was printed: one byte kind, four bytes length (big-endian), payload. See
 * docs/internals/agent-protocol.md.
 *
 * The daemon is trusted: of what it sends no more is checked than that it is frames.
 */

/** First byte of a frame. */
export const frameKinds = { stdin: 2, stdout: 3, stderr: 4, pty: 5, event: 7, control: 8, end: 9 };

/** A frame that came. */
export interface Frame {
  /** Its first byte. */
  readonly kind: number;
  /** What it carries. */
  readonly payload: Uint8Array;
}

const HEADER_BYTES = 5;

/** The frame as bytes. */
export function encodeFrame(kind: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame[0] = kind;
  new DataView(frame.buffer).setUint32(1, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** Turns pieces of bytes into frames, whatever their boundaries. */
export class FrameDecoder {
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;
  #neededBytes = HEADER_BYTES;

  /** The frames that the next bytes complete. */
  push(piece: Uint8Array): Frame[] {
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes < this.#neededBytes) return [];
    const held = this.#pieces.length === 1 ? piece : joined(this.#pieces, this.#heldBytes);
    const view = new DataView(held.buffer, held.byteOffset, held.byteLength);
    const frames: Frame[] = [];
    let at = 0;
    for (;;) {
      const left = held.length - at;
      this.#neededBytes = HEADER_BYTES + (left < HEADER_BYTES ? 0 : view.getUint32(at + 1));
      if (left < this.#neededBytes) break;
      frames.push({
        kind: view.getUint8(at),
        payload: held.subarray(at + HEADER_BYTES, at + this.#neededBytes),
      });
      at += this.#neededBytes;
    }
    this.#pieces = at === held.length ? [] : [held.subarray(at)];
    this.#heldBytes = held.length - at;
    return frames;
  }
}

/** The frames of `chunks`. What is cut off at the end is no frame. */
export async function* framesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame, void, undefined> {
  const decoder = new FrameDecoder();
  for await (const chunk of chunks) yield* decoder.push(chunk);
}

function joined(pieces: readonly Uint8Array[], totalBytes: number): Uint8Array {
  const whole = new Uint8Array(totalBytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
