/**
 * Compression of one chunk, by Debian's `zstd`: Node has none of its own before version 22.15.
 *
 * A chunk is bounded, so it is kept in memory whole, and what comes out is cut off where it would be longer than it says it is.
 */
import { execa, type ExecaError } from 'execa';
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
  const maxBuffer = compressedBound(bytes.length);
  return Buffer.from((await zstd(['-c', '-q', `-${LEVEL}`, '-T1'], bytes, maxBuffer, signal)).stdout);
}

/** Exactly `rawBytes`. Throws BadSnapshotArchive for anything else, ProgramMissing. */
export async function decompressed(bytes: Buffer, rawBytes: number, signal?: AbortSignal): Promise<Buffer> {
  const args = ['-d', '-c', '-q', `--memory=${MAX_WINDOW}`];
  const result = await zstd(args, bytes, rawBytes + 1, signal).catch((error: unknown) => {
    if (!(error instanceof BadSnapshotArchive)) throw error;
    throw new BadSnapshotArchive('a chunk cannot be unpacked', { cause: error });
  });
  if (result.stdout.length !== rawBytes)
    throw new BadSnapshotArchive(
      `a chunk that should hold ${rawBytes} bytes holds ${words(result.stdout.length, rawBytes)}`,
    );
  return Buffer.from(result.stdout);
}

const words = (found: number, wanted: number): string => (found > wanted ? 'more' : `${found}`);

interface Output {
  readonly stdout: Uint8Array;
}

async function zstd(
  args: readonly string[],
  input: Buffer,
  maxBuffer: number,
  signal?: AbortSignal,
): Promise<Output> {
  try {
    return await execa('zstd', args, {
      input,
      encoding: 'buffer',
      maxBuffer,
      stderr: 'ignore',
      stripFinalNewline: false,
      ...(signal && { cancelSignal: signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (errorCode(error) === 'ENOENT') throw new ProgramMissing('zstd', 'zstd', { cause: error });
    const { isMaxBuffer, stdout } = error as ExecaError<{ encoding: 'buffer' }>;
    if (isMaxBuffer) return { stdout };
    throw new BadSnapshotArchive('zstd failed', { cause: error });
  }
}
