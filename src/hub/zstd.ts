/**
 * Compression of one chunk, by Debian's `zstd`: Node has none of its own before version 22.15.
 *
 * A chunk is bounded, so it is kept in memory whole, and what comes out is cut off where it would be longer than it says it is.
 */
import { errorCode } from '../base/index.js';
import { BadSnapshotArchive, ProgramMissing } from './errors.js';

/** Above this a level takes many times as long for a few percent. */
const LEVEL = 3;
/** Our chunks need no more to be unpacked; a frame may ask for gigabytes. */
const MAX_WINDOW = '64MiB';

/** What a chunk can become at most: zstd adds some bytes to what cannot be compressed. */
export const compressedBound = (bytes: number): number => bytes + (bytes >> 7) + 4096;

/** The same bytes give the same result wherever the same zstd is. Throws ProgramMissing. */
export async function compressed(bytes: Buffer, signal?: AbortSignal): Promise<Buffer> {
  const into = Buffer.allocUnsafe(compressedBound(bytes.length));
  return into.subarray(0, await zstd(['-c', '-q', `-${LEVEL}`, '-T1'], bytes, into, signal));
}

/** Exactly `rawBytes`. Throws BadSnapshotArchive for anything else, ProgramMissing. */
export async function decompressed(bytes: Buffer, rawBytes: number, signal?: AbortSignal): Promise<Buffer> {
  const into = Buffer.allocUnsafe(rawBytes);
  const found = await zstd(['-d', '-c', '-q', `--memory=${MAX_WINDOW}`], bytes, into, signal);
  if (found !== rawBytes)
    throw new BadSnapshotArchive(
      `a chunk that should hold ${rawBytes} bytes holds ${found > rawBytes ? 'more' : found}`,
    );
  return into;
}

/** Fills `into`, and returns how many bytes came: it is ended at the first that finds no room. */
async function zstd(
  args: readonly string[],
  input: Buffer,
  into: Buffer,
  signal?: AbortSignal,
): Promise<number> {
  const { execa } = await import('execa');
  // Not gathered by execa, which copies what has come each time that more does.
  const running = execa('zstd', args, {
    ...{ input, encoding: 'buffer', buffer: false, stderr: 'ignore' },
    ...(signal && { cancelSignal: signal }),
  });
  let have = 0;
  running.stdout.on('data', (piece: Buffer) => {
    if (have <= into.length) into.set(piece.subarray(0, into.length - have), have);
    have += piece.length;
    if (have > into.length) running.kill('SIGKILL');
  });
  try {
    await running;
  } catch (cause) {
    signal?.throwIfAborted();
    if (errorCode(cause) === 'ENOENT') throw new ProgramMissing('zstd', 'zstd', { cause });
    if (have <= into.length) throw new BadSnapshotArchive('a chunk cannot be unpacked', { cause });
  }
  return have;
}
