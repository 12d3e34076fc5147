/** Standard input of a program: all of it, or pieces as they come, sent as fast as the guest takes them. */
import type { Channel } from './channel.js';
import { FrameKind, type Frame } from './frames.js';

export type Input = string | Uint8Array | AsyncIterable<Uint8Array>;

/** In one frame. */
export const CHUNK_BYTES = 64 << 10;

/** The caller's input iterator threw; `cause` is what it threw. */
export class InputFailed extends Error {
  override readonly name = 'InputFailed';
}

/** Sends the input and then its end. Stops silently when the channel is gone; throws InputFailed. */
export async function sendInput(channel: Channel, input: Input): Promise<void> {
  try {
    for await (const payload of pieces(input)) {
      if (channel.isGone) return;
      await channel.send({ kind: FrameKind.stdin, payload });
    }
  } catch (cause) {
    throw new InputFailed('Cannot read the input for the guest', { cause });
  }
  await channel.send({ kind: FrameKind.stdin, payload: new Uint8Array() });
}

/** Passes frames on as fast as the guest takes them. Stops silently when the channel is gone; throws InputFailed. */
export async function sendFrames(channel: Channel, frames: AsyncIterable<Frame<Uint8Array>>): Promise<void> {
  try {
    for await (const frame of frames) {
      if (channel.isGone) return;
      await channel.send(frame);
    }
  } catch (cause) {
    throw new InputFailed('Cannot read the frames for the guest', { cause });
  }
}

/** The bytes of a file as frames, an empty one at their end. */
export async function* fileFrames(input: Input): AsyncGenerator<Frame<Uint8Array>, void, undefined> {
  for await (const payload of pieces(input)) yield { kind: FrameKind.file, payload };
  yield { kind: FrameKind.file, payload: new Uint8Array() };
}

async function* pieces(input: Input): AsyncGenerator<Uint8Array, void, undefined> {
  const whole =
    typeof input === 'string' ? [Buffer.from(input)] : input instanceof Uint8Array ? [input] : input;
  for await (const bytes of whole) {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
  }
}
