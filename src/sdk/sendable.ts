/** The body of a request that is bytes: as a whole, or as they come. */

import { isBrowser } from './environment.js';

/** Bytes to send. */
export type Sendable = Uint8Array | AsyncIterable<Uint8Array>;

/** What fetch takes for a body that is a stream; its types in browsers do not know `duplex` yet. */
export interface StreamingInit extends RequestInit {
  /** The answer may begin only after the stream was sent. */
  readonly duplex?: 'half';
  /** Belongs to no page that might be asked for a password. */
  readonly window?: null;
}

/** Node keeps all that it has sent of a stream, in case it has to be sent elsewhere or again, unless that is ruled out; no stream can be. */
const SENT_ONCE: StreamingInit = { redirect: 'error', window: null };

/**
 * The part of a request. A stream goes out at the pace of who reads it. Of browsers some send a stream over HTTP/2 only, and others its name
 * instead: there it is gathered first, into a Blob, which a browser may keep on disk.
 */
export async function bodyOf(bytes: Sendable): Promise<StreamingInit> {
  if (bytes instanceof Uint8Array) return { body: new Uint8Array(bytes) };
  if (isBrowser()) return { body: await new Response(streamOf(bytes)).blob() };
  return { body: streamOf(bytes), duplex: 'half', ...SENT_ONCE };
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
