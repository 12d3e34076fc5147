/**
 * The digest of a disk file costs what the file holds, not how large the disk is.
 *
 * `sparse:` and sha256 in hex over the file's length and then, for every block of 64 KiB (the last may be
 * shorter) that is not all zeros, in order, its offset, its length and its bytes; numbers are unsigned 64-bit
 * little-endian. So it says what the bytes are, all of them, and whether a zero is written or a hole makes no
 * difference. Where the holes are is asked of the file system; they need not be read.
 *
 * A digest without the prefix is plain sha256 of the bytes, as manifests of version 1 have it.
 *
 * Not handled: files of which nobody can say where the holes are; they are read whole.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { execa } from 'execa';
import { abortReason } from '../../base/index.js';
import {
  copyWholeFile,
  createFile,
  fileDigest,
  FileTooShort,
  HOLE_BYTES,
  withFile,
  writeFully,
  zeros,
  type Destination,
} from './copy.js';
import type { Run } from '../types.js';

const SPARSE_PREFIX = 'sparse:';
const CHUNK_BYTES = 16 * HOLE_BYTES;
/** Below this asking where the holes are takes longer than reading them. */
const FEW_HOLES_BYTES = 64 << 20;

/** How a disk file's digest is made: of its kind must be whatever it is compared with. */
export type DiskDigestKind = 'sparse' | 'plain';

/** The kind of a known digest; that of new ones if there is none. */
export function kindOfDigest(known: string | undefined): DiskDigestKind {
  return known === undefined || known.startsWith(SPARSE_PREFIX) ? 'sparse' : 'plain';
}

/** The digest of the disk file at `path`. */
export async function diskDigest(path: string, kind: DiskDigestKind, signal?: AbortSignal): Promise<string> {
  if (kind === 'plain') return fileDigest(path, signal);
  return withFile(path, (file) => readDisk(file, path, undefined, signal));
}

/** Copies a disk file, leaving holes where blocks are zero; returns its digest. */
export async function copyDisk(
  path: string,
  destination: Destination,
  kind: DiskDigestKind,
  signal?: AbortSignal,
): Promise<string> {
  if (kind === 'plain') return copyWholeFile(path, destination, signal);
  return withFile(path, (file) => createFile(destination, (target) => readDisk(file, path, target, signal)));
}

async function readDisk(
  file: FileHandle,
  path: string,
  target: FileHandle | undefined,
  signal: AbortSignal | undefined,
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
        if (block.equals(zeros.subarray(0, block.length))) continue;
        hash.update(numbers(position + at, block.length)).update(block);
        if (target !== undefined) await writeFully(target, block, position + at);
      }
      position += chunk.length;
    }
  }
  await target?.truncate(lengthBytes);
  return SPARSE_PREFIX + hash.digest('hex');
}

/**
 * The stretches of whole blocks outside which the file has only holes; all of it where that cannot be told.
 */
async function dataBlocks(file: FileHandle, lengthBytes: number): Promise<Run[]> {
  const everything: Run[] = [[0, lengthBytes]];
  // Node has no SEEK_DATA; QEMU's tool has, and looks at the very file that is open here.
  const args = ['map', '-U', '--output=json', '-f', 'raw', `/proc/${process.pid}/fd/${file.fd}`];
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
): Run[] {
  const runs: Run[] = [];
  for (const { start, length } of extents.filter(({ zero }) => !zero)) {
    const from = Math.max(Math.floor(start / HOLE_BYTES) * HOLE_BYTES, endOf(runs.at(-1)));
    const to = Math.min(Math.ceil((start + length) / HOLE_BYTES) * HOLE_BYTES, lengthBytes);
    if (to > from) runs.push([from, to - from]);
  }
  return runs;
}

const endOf = (run: Run | undefined): number => (run === undefined ? 0 : run[0] + run[1]);

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
