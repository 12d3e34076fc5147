/**
 * Compression of one chunk, by Debian's `zstd`: Node has none of its own before version 22.15. What unpacks is in unpackers.ts.
 *
 * A chunk is bounded, so it is kept in memory whole.
 */
import { errorCode } from '../base/index.js';
import { ProgramMissing } from './errors.js';

/** Above this a level takes many times as long for a few percent. */
const LEVEL = 3;

/** What a chunk can become at most: zstd adds some bytes to what cannot be compressed. */
export const compressedBound = (bytes: number): number => bytes + (bytes >> 7) + 4096;

/** The same bytes give the same result wherever the same zstd is. Throws ProgramMissing. */
export async function compressed(bytes: Buffer, signal?: AbortSignal): Promise<Buffer> {
  const { execa } = await import('execa');
  const into = Buffer.allocUnsafe(compressedBound(bytes.length));
  // Not gathered by execa, which copies what has come each time that more does.
  const running = execa('zstd', ['-c', '-q', `-${LEVEL}`, '-T1'], {
    ...{ input: bytes, encoding: 'buffer', buffer: false, stderr: 'ignore' },
    ...(signal && { cancelSignal: signal }),
  });
  let have = 0;
  running.stdout.on('data', (piece: Buffer) => {
    into.set(piece, have);
    have += piece.length;
  });
  try {
    await running;
  } catch (cause) {
    signal?.throwIfAborted();
    if (errorCode(cause) === 'ENOENT') throw new ProgramMissing('zstd', 'zstd', { cause });
    throw cause;
  }
  return into.subarray(0, have);
}
