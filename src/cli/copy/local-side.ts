/** The files of this machine as a side of a copy. */

import { randomBytes } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { lstat, mkdir, open, readlink, realpath, rename, rm, stat, symlink, unlink } from 'node:fs/promises';
import { packed } from './pack.js';
import { ResourceStack } from '../../base/index.js';
import type { Found, Side } from './side.js';
import { unpack } from './unpack.js';

/** `note` is told what is left out. */
export function localSide(note: (words: string) => void): Side {
  const look: Side['look'] = async (path, { follow }) => {
    const found = await absentAs(undefined, (follow ? stat : lstat)(path));
    return found === undefined ? undefined : foundOf(found, path);
  };
  return {
    nameOf: (path) => path,
    look,
    read: (path) => createReadStream(path),
    pack: (path) => packed(path, note),
    async write(path, bytes, mode) {
      const there = await absentAs(undefined, stat(path));
      if (there === undefined) return writeBeside(path, bytes, { mode: mode ?? 0o666 });
      // What a device or a pipe is written with does not take its place.
      if (!there.isFile()) return writeTo(path, bytes);
      return writeBeside(await realpath(path), bytes, { mode: 0o600, keeps: there.mode & 0o7777 });
    },
    async makeFolder(path, mode) {
      await mkdir(path, mode);
    },
    async makeLink(path, target) {
      await absentAs(undefined, unlink(path));
      await symlink(target, path);
    },
    unpack: (path, archive) => unpack(path, archive, note),
  };
}

async function foundOf(info: Stats, path: string): Promise<Found> {
  const { mode } = info;
  if (info.isSymbolicLink()) return { type: 'link', mode, target: await readlink(path) };
  return { type: info.isFile() ? 'file' : info.isDirectory() ? 'folder' : 'other', mode };
}

async function absentAs<T, A>(absent: A, work: Promise<T>): Promise<T | A> {
  return work.catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return absent;
    throw error;
  });
}

async function writeTo(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await using undo = new ResourceStack();
  const file = undo.use(await open(path, 'w'));
  for await (const piece of bytes) await file.writeFile(piece);
}

/** Whoever reads it meanwhile finds the old one, and so does everybody when this fails. */
async function writeBeside(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  { mode, keeps }: { readonly mode: number; readonly keeps?: number },
): Promise<void> {
  const beside = `${path}.bough-${randomBytes(8).toString('hex')}`;
  try {
    {
      await using undo = new ResourceStack();
      const file = undo.use(await open(beside, 'wx', mode));
      for await (const piece of bytes) await file.writeFile(piece);
      if (keeps !== undefined) await file.chmod(keeps);
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
