/**
 * Files that are either there completely or not at all.
 *
 * A file becomes visible by `rename` after its bytes are on disk (`durable`), and the rename itself is made
 * durable by an fsync of the folder. Temporary names start with `.tmp-`: whatever carries one at start-up is
 * garbage and may be removed. An fsync that fails is a failure of the write and is never retried, because the
 * kernel drops the dirty pages it could not write.
 */
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { constants, copyFile, link, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorCode } from './errno.js';
import { failpoint } from './failpoint.js';

/** What names of unfinished files and folders start with. */
export const TEMPORARY_PREFIX = '.tmp-';

/** A fresh temporary name in the folder of `path`, so that a rename to `path` stays on one file system. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `${TEMPORARY_PREFIX}${basename(path)}-${randomBytes(6).toString('hex')}`);
}

/**
 * How `writeFileAtomic` writes: permission bits (default 0600), whether the result must survive power loss (default false), or else whether
 * the folder is on tmpfs, where a step takes less than handing it to a thread and nothing is durable.
 */
export type AtomicWriteOptions = { readonly mode?: number } & (
  | { readonly durable?: boolean; readonly inMemory?: never }
  | { readonly durable?: never; readonly inMemory: boolean }
);

/**
 * Replaces `path` with `data` in one step; on failure the old file, if any, is untouched and no temporary
 * file remains.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  { mode = 0o600, durable = false, inMemory = false }: AtomicWriteOptions = {},
): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    if (inMemory) writeFileSync(temporary, data, { flag: 'wx', mode });
    else await writeNew(temporary, data, { mode, durable });
    await failpoint('file.written');
    if (inMemory) renameSync(temporary, path);
    else await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await failpoint('file.renamed');
  if (durable) await fsyncPath(dirname(path));
}

async function writeNew(
  path: string,
  data: string | Uint8Array,
  { mode, durable }: Required<Pick<AtomicWriteOptions, 'mode' | 'durable'>>,
): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(data);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

/** Waits until the file or folder at `path` is on disk. */
export async function fsyncPath(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const LINK_IMPOSSIBLE = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP']);

/**
 * Makes `destination` hold the bytes of `source`: a hard link where possible, else a copy; fails if
 * `destination` exists. Not handled: a copy of a sparse file is not sparse.
 */
export async function linkOrCopy(source: string, destination: string): Promise<'linked' | 'copied'> {
  if (await linkIfPossible(source, destination)) return 'linked';
  await copyFile(source, destination, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  return 'copied';
}

/** Hard-links a file; false where only a copy is possible. Fails if `destination` exists. */
export async function linkIfPossible(source: string, destination: string): Promise<boolean> {
  try {
    await failpoint('file.linking');
    await link(source, destination);
    return true;
  } catch (error) {
    if (LINK_IMPOSSIBLE.has(errorCode(error) ?? '')) return false;
    throw error;
  }
}

/** Names in a folder; none where there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Removes what a process that was killed left unfinished in `folder`, which need not exist; returns the
 * names. Nobody may be writing there.
 */
export async function removeUnfinished(folder: string): Promise<string[]> {
  const unfinished = (await namesIn(folder)).filter((name) => name.startsWith(TEMPORARY_PREFIX));
  for (const name of unfinished) await rm(join(folder, name), { recursive: true, force: true });
  return unfinished;
}
