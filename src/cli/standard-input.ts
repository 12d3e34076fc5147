/**
 * All of standard input as text, for a request that has it in a JSON string.
 *
 * What would not arrive as it is given is refused: bytes that are no UTF-8, and more than a request can hold, as soon as that is seen.
 */
import { UsageError } from './exit.js';

/** Throws UsageError. */
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
