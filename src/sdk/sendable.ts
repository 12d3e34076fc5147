/** The body of a request that is bytes: as a whole, or as they come. */

/** Bytes to send. */
export type Sendable = Uint8Array | AsyncIterable<Uint8Array>;

/** What fetch takes for a body that is a stream; its types in browsers do not know `duplex` yet. */
export interface StreamingInit extends RequestInit {
  /** The answer may begin only after the stream was sent. */
  readonly duplex?: 'half';
}

/** The part of a request. A stream goes out at the pace of who reads it; not every browser can send one. */
export function bodyOf(bytes: Sendable): StreamingInit {
  if (bytes instanceof Uint8Array) return { body: new Uint8Array(bytes) };
  return { body: streamOf(bytes), duplex: 'half' };
}

function streamOf(pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const next = await iterator.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
