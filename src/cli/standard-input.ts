/** Standard input: as bytes that are passed on, or all of it as text, for a request that has it in a JSON string. */

import type { Readable } from 'node:stream';
import { UsageError } from './exit.js';

/** The bytes as they come. When `signal` fires it ends, and with it `input`, which nothing waits for then. */
export async function* readChunks(input: Readable, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const end = (): void => void input.destroy();
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  try {
    for await (const chunk of input) yield chunk as Uint8Array;
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** What would not arrive as it is given is refused, by UsageError: bytes that are no UTF-8, and more than a request can hold. */
export async function readText(input: AsyncIterable<Uint8Array>, limitBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    bytes += chunk.length;
    if (bytes > limitBytes)
      throw new UsageError(`Standard input is larger than the ${limitBytes} bytes that a request can hold`);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new UsageError('Standard input is not text in UTF-8; encode it, for example with base64', {
      cause,
    });
  }
}
