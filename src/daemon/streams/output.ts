/**
 * A guest's output on its way to a client, in the form that it asked for.
 *
 * One piece is encoded when the client takes the next, so a slow client slows the guest down and nothing piles up here. Once a stream has
 * begun its failure can only be told in it: as its last piece.
 */
import { BoughError, FRAMES_TYPE, isBoughError } from '../../contract/index.js';
import { StreamReply } from '../rows/handlers.js';
import type { OutputEncoder, OutputEvent } from './encoder.js';
import { framesEncoder } from './frames.js';
import { linesEncoder } from './lines.js';
import { withPauses } from './pauses.js';

export const KEEP_ALIVE_MS = 15_000;

/** `events` as an answer of that type; `wireError` is what a failure is to the outside. */
export function outputStream(
  events: AsyncGenerator<OutputEvent, void, undefined>,
  { type, wireError, keepAliveMs = KEEP_ALIVE_MS }: StreamForm,
): StreamReply {
  const encoder = type === FRAMES_TYPE ? framesEncoder() : linesEncoder();
  return new StreamReply(type, encoded(events, encoder, { wireError, keepAliveMs }));
}

export interface StreamForm {
  readonly type: string;
  readonly wireError: (error: unknown) => BoughError;
  readonly keepAliveMs?: number;
}

async function* encoded(
  events: AsyncGenerator<OutputEvent, void, undefined>,
  encoder: OutputEncoder,
  { wireError, keepAliveMs }: Required<Omit<StreamForm, 'type'>>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const event of withPauses(events, keepAliveMs)) {
      yield event === undefined ? encoder.keepAlive() : encoder.piece(event);
    }
  } catch (error) {
    yield encoder.rest();
    yield encoder.failure(wireError(error));
  }
}

/** What any failure is to the outside, where nobody stands behind the handler to say it. */
export function wireErrorOf(requestId: string): (error: unknown) => BoughError {
  return (error) =>
    isBoughError(error) ? error : new BoughError('internal', { requestId }, { cause: error });
}
