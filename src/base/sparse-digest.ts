/**
 * The digest of a sparse file costs what the file holds, not how large it is.
 *
 * `sparse:` and sha256 in hex over the file's length and then, for every block of 64 KiB (the last may be
 * shorter) that is not all zeros, in order, its offset, its length and its bytes; numbers are unsigned 64-bit
 * little-endian. So it says what the bytes are, all of them, and whether a zero is written or a hole makes no
 * difference. Where the holes are is asked of the file system; they need not be read.
 *
 * Not handled: files of which nobody can say where the holes are; they are read whole.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { abortReason } from './abort.js';

export const SPARSE_PREFIX = 'sparse:';
/** So many zero bytes in a row, aligned, are as good as a hole. */
export const HOLE_BYTES = 1 << 16;
const CHUNK_BYTES = 16 * HOLE_BYTES;
/** Below this asking where the holes are takes longer than reading them. */
const FEW_HOLES_BYTES = 64 << 20;

const zeros = Buffer.alloc(HOLE_BYTES);

/** Of at most HOLE_BYTES. */
export function isZero(block: Buffer): boolean {
  return block.equals(zeros.subarray(0, block.length));
}

/** Thrown when a file ends before the bytes it should hold; `path` is that file. */
export class FileTooShort extends Error {
  override readonly name = 'FileTooShort';
  readonly path: string;
  constructor(path: string) {
    super(`${path} is shorter than it should be`);
    this.path = path;
  }
}

export interface SparseReading {
  readonly signal?: AbortSignal | undefined;
  /** Gets each block that is not all zeros; the buffer is reused. */
  readonly onBlock?: ((block: Buffer, position: number) => Promise<void>) | undefined;
}

/** Reads an open file of that path, once, and returns its digest. */
export async function sparseDigest(
  file: FileHandle,
  path: string,
  { signal, onBlock }: SparseReading = {},
): Promise<string> {
  const { size: lengthBytes, blocks } = await file.stat();
  const hash = createHash('sha256').update(numbers(lengthBytes));
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const isSparse = lengthBytes - blocks * 512 > FEW_HOLES_BYTES;
  for (const [start, spanBytes] of isSparse
    ? await dataBlocks(file, lengthBytes)
    : [[0, lengthBytes] as const]) {
    const end = start + spanBytes;
    for (let position = start; position < end;) {
      if (signal?.aborted === true) throw abortReason(signal);
      const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, end - position));
      if (!(await readFully(file, chunk, position))) throw new FileTooShort(path);
      for (let at = 0; at < chunk.length; at += HOLE_BYTES) {
        const block = chunk.subarray(at, at + HOLE_BYTES);
        if (isZero(block)) continue;
        hash.update(numbers(position + at, block.length)).update(block);
        await onBlock?.(block, position + at);
      }
      position += chunk.length;
    }
  }
  return SPARSE_PREFIX + hash.digest('hex');
}

/** `[offsetBytes, lengthBytes]`. */
type Stretch = readonly [offsetBytes: number, lengthBytes: number];

/**
 * The stretches of whole blocks outside which the file has only holes; all of it where that cannot be told.
 */
async function dataBlocks(file: FileHandle, lengthBytes: number): Promise<Stretch[]> {
  const everything: Stretch[] = [[0, lengthBytes]];
  // Node has no SEEK_DATA; QEMU's tool has, and looks at the very file that is open here.
  const args = ['map', '-U', '--output=json', '-f', 'raw', `/proc/${process.pid}/fd/${file.fd}`];
  // Loaded when it is needed: a command that digests nothing does not wait for it.
  const { execa } = await import('execa');
  const { failed, stdout } = await execa('qemu-img', args, { reject: false, stdin: 'ignore' });
  if (failed) return everything;
  const extents = JSON.parse(stdout) as { start: number; length: number; zero: boolean }[];
  // It must speak of all of the file, or it is not believed.
  const toldBytes = extents.reduce((at, { start, length }) => (start === at ? at + length : NaN), 0);
  return toldBytes >= lengthBytes ? wholeBlocks(extents, lengthBytes) : everything;
}

function wholeBlocks(
  extents: readonly { readonly start: number; readonly length: number; readonly zero: boolean }[],
  lengthBytes: number,
): Stretch[] {
  const stretches: Stretch[] = [];
  for (const { start, length } of extents.filter(({ zero }) => !zero)) {
    const from = Math.max(Math.floor(start / HOLE_BYTES) * HOLE_BYTES, endOf(stretches.at(-1)));
    const to = Math.min(Math.ceil((start + length) / HOLE_BYTES) * HOLE_BYTES, lengthBytes);
    if (to > from) stretches.push([from, to - from]);
  }
  return stretches;
}

const endOf = (stretch: Stretch | undefined): number => (stretch === undefined ? 0 : stretch[0] + stretch[1]);

/** False if the file ends before. */
async function readFully(file: FileHandle, into: Buffer, position: number): Promise<boolean> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  values.forEach((value, index) => bytes.writeBigUInt64LE(BigInt(value), 8 * index));
  return bytes;
}
