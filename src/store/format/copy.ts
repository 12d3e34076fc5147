/**
 * Copying and hashing, in one pass, without blowing up holes.
 *
 * The digest of a memory layer covers where its bytes are as well as what they are: sha256 over, for every
 * run in order, its offset and its length (each an unsigned 64-bit little-endian number) followed by its
 * bytes. That of a disk file is in disk-digest.ts; the digest of any other file is plain sha256 of its bytes.
 *
 * Not handled: parallel hashing; one stream does more than a disk does.
 */
import { createHash, type Hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { constants, open, type FileHandle } from 'node:fs/promises';
import {
  abortReason,
  failpoint,
  FileTooShort,
  HOLE_BYTES,
  isZero,
  MiB,
  shortened,
} from '../../base/index.js';
import type { Run } from '../types.js';

const CHUNK_BYTES = MiB;

/**
 * Where a copy goes and whether it must be on disk when the copy returns; the file must not exist, mode 0600
 * unless given. A layer's copy waits for `giveWay` before each mebibyte.
 */
export interface Destination {
  readonly path: string;
  readonly durable?: boolean;
  readonly mode?: number;
  readonly giveWay?: () => Promise<void>;
}

/** What becomes of bytes that are read. */
interface Use {
  /** Called before so many bytes are read. */
  readonly pace?: (bytes: number) => Promise<void>;
  readonly hash?: Hash;
  readonly target?: FileHandle;
  readonly signal?: AbortSignal | undefined;
}

/** sha256 (hex) of the layer at `path`, see the header. */
export async function layerDigest(path: string, runs: readonly Run[], signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await withFile(path, async (source) => {
    for (const run of runs) await readRun(source, path, run, { hash, signal });
  });
  return hash.digest('hex');
}

/** Copies only the runs of a layer into a fresh sparse file of `logicalBytes`; returns the layer's digest. */
export async function copyLayer(
  sourcePath: string,
  { runs, logicalBytes }: { readonly runs: readonly Run[]; readonly logicalBytes: number },
  destination: Destination,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  await withFile(sourcePath, (source) =>
    createFile(destination, async (target) => {
      await target.truncate(logicalBytes);
      const use = { hash, target, signal, pace: paced(destination.giveWay) };
      for (const run of runs) await readRun(source, sourcePath, run, use);
    }),
  );
  return hash.digest('hex');
}

/** How a copy lets others go first, and what ends it. */
export type CopyManners = Pick<Destination, 'giveWay'> & { readonly signal?: AbortSignal | undefined };

/** Copies `runs` of one file to the same offsets of an open one; waits for `giveWay` before each mebibyte. */
export async function copyRunsInto(
  sourcePath: string,
  runs: readonly Run[],
  target: FileHandle,
  { giveWay, signal }: CopyManners = {},
): Promise<void> {
  const use = { target, signal, pace: paced(giveWay) };
  await withFile(sourcePath, async (source) => {
    for (const run of runs) await readRun(source, sourcePath, run, use);
  });
}

/** Waits for `giveWay` as often as there is a chunk to copy, however many runs it is in. */
function paced(giveWay: Destination['giveWay']): (bytes: number) => Promise<void> {
  let bytesToGo = 0;
  return async (bytes) => {
    if (bytesToGo <= 0) {
      await giveWay?.();
      bytesToGo = CHUNK_BYTES;
    }
    bytesToGo -= bytes;
  };
}

/** sha256 (hex) of a file's bytes. */
export async function fileDigest(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await withFile(path, (source) => readAll(source, hash, undefined, signal));
  return hash.digest('hex');
}

/** The same of a small file on tmpfs, where a thread would take longer. */
export const digestInMemory = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/** Copies a file, leaving holes where 64 KiB in a row are zero; returns its digest. */
export async function copyWholeFile(
  sourcePath: string,
  destination: Destination,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  await withFile(sourcePath, (source) =>
    createFile(destination, (target) => readAll(source, hash, target, signal)),
  );
  return hash.digest('hex');
}

async function readRun(
  source: FileHandle,
  sourcePath: string,
  [offsetBytes, lengthBytes]: Run,
  { hash, target, pace, signal }: Use,
): Promise<void> {
  const header = Buffer.alloc(16);
  header.writeBigUInt64LE(BigInt(offsetBytes), 0);
  header.writeBigUInt64LE(BigInt(lengthBytes), 8);
  hash?.update(header);
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, lengthBytes));
  const end = offsetBytes + lengthBytes;
  for (let position = offsetBytes; position < end;) {
    const wanted = Math.min(buffer.length, end - position);
    await pace?.(wanted);
    if (signal?.aborted === true) throw abortReason(signal);
    const { bytesRead } = await source.read(buffer, 0, wanted, position);
    if (bytesRead === 0) throw new FileTooShort(sourcePath);
    const chunk = buffer.subarray(0, bytesRead);
    hash?.update(chunk);
    if (target !== undefined) await writeFully(target, chunk, position);
    position += bytesRead;
  }
}

async function readAll(
  source: FileHandle,
  hash: Hash,
  target: FileHandle | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, (await source.stat()).size + 1));
  let position = 0;
  for (;;) {
    if (signal?.aborted === true) throw abortReason(signal);
    const { bytesRead } = await source.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    for (let start = 0; target !== undefined && start < bytesRead; start += HOLE_BYTES) {
      const piece = buffer.subarray(start, Math.min(start + HOLE_BYTES, bytesRead));
      if (!isZero(piece)) await writeFully(target, piece, position + start);
    }
    position += bytesRead;
  }
  await target?.truncate(position);
}

/** write(2) may write less than asked for, on a file system that is nearly full for instance. */
export async function writeFully(target: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let done = 0; done < data.length;) {
    await failpoint('copy.chunk');
    const askedBytes = shortened('copy.write', data.length - done);
    const { bytesWritten } = await target.write(data, done, askedBytes, position + done);
    done += bytesWritten;
  }
}

/** Opens a file for reading, which must not be a symbolic link, for as long as `use` takes. */
export async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Makes a file that `fill` writes. */
export async function createFile<T>(
  { path, durable = false, mode = 0o600 }: Destination,
  fill: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, 'wx', mode);
  try {
    const result = await fill(file);
    await failpoint('copy.filled');
    if (durable) await file.sync();
    return result;
  } finally {
    await file.close();
  }
}
