/** Lines that are followed, with an empty one whenever nothing came for a while, and in front, so that the head of the answer leaves at once. */
import { KEEP_ALIVE_MS } from './output.js';
import { withPauses } from './pauses.js';

const EMPTY = Buffer.from('\n');

/** Each piece is of whole lines. */
export async function* aliveLines(
  pieces: AsyncIterable<Uint8Array>,
  keepAliveMs = KEEP_ALIVE_MS,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield EMPTY;
  for await (const piece of withPauses(iterated(pieces), keepAliveMs)) yield piece ?? EMPTY;
}

async function* iterated<T>(items: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  yield* items;
}
