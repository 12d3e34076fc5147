/**
 * Unpacks a tar archive into a folder of this machine. The archive comes from a guest, which may be hostile: nothing is put outside of the
 * folder, whatever names and links it has.
 *
 * Each folder on the way to an entry is looked at without following links, and was there or is made as one. That is enough, because nobody
 * but the archive changes them meanwhile on the guest's behalf, and a folder is never replaced. Files and links that are there give way.
 * Owners are not kept, nor are bits that run a program as somebody else.
 */

import { once } from 'node:events';
import { chmod, lstat, mkdir, open, symlink, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Parser, type ReadEntry } from 'tar';
import { ResourceStack } from '../../base/index.js';

/** `note` is told what is left out. */
export async function unpack(
  folder: string,
  archive: AsyncIterable<Uint8Array>,
  note: (words: string) => void,
): Promise<void> {
  const made: { path: string; entry: ReadEntry }[] = [];
  await eachEntry(archive, async (entry) => {
    const path = await placeOf(folder, entry.path);
    if (path === undefined) return;
    if (entry.type === 'Directory') {
      if (await madeFolder(path, entry)) made.push({ path, entry });
    } else if (isFile.has(entry.type)) await writeFile(path, entry);
    else if (entry.type === 'SymbolicLink') {
      await makeWay(path);
      await symlink(entry.linkpath ?? '', path);
    } else note(`${path} is left out: it is a ${entry.type}`);
  });
  // Last, since a folder that may not be written to could not be filled, and has another time when it was.
  for (const { path, entry } of made.reverse()) await settleFolder(path, entry);
}

const isFile = new Set<string>(['File', 'OldFile', 'ContiguousFile']);

/** Calls `take` with one entry after the other. Rejects with what either fails with, and for what is no whole archive. */
async function eachEntry(
  archive: AsyncIterable<Uint8Array>,
  take: (entry: ReadEntry) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const fail = (error: unknown): void => failed.abort(error);
  const open = new Set<ReadEntry>();
  let [taking, isWhole] = [Promise.resolve(), false];
  const parser = new Parser({
    onReadEntry: (entry) => {
      open.add(entry.on('error', () => undefined));
      taking = taking
        .then(() => (failed.signal.aborted ? undefined : take(entry)))
        .catch(fail)
        .finally(() => {
          open.delete(entry);
          entry.resume();
        });
    },
    onwarn: (code, message) => {
      // An archive of nothing is one too.
      if (!(code === 'TAR_BAD_ARCHIVE' && isWhole)) fail(new Error(`Not a tar archive: ${message}`));
    },
  });
  parser.on('eof', () => (isWhole = true));
  const ended = once(parser, 'end', { signal: failed.signal });
  ended.catch(() => undefined);
  try {
    for await (const chunk of archive) {
      failed.signal.throwIfAborted();
      // What is behind the end of an archive is nothing, and would pile up.
      if (!isWhole && !parser.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)))
        await once(parser, 'drain', { signal: failed.signal });
    }
    parser.end();
    await ended;
  } catch (error) {
    fail(error);
    for (const entry of open) entry.destroy(error);
  }
  await taking;
  if (failed.signal.aborted) throw failed.signal.reason;
  if (!isWhole) throw new Error('The archive was cut off');
}

/** Where an entry goes; undefined for the folder itself. The folders above it are there then. */
async function placeOf(folder: string, name: string): Promise<string | undefined> {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..'))
    throw new Error(`The archive names ${JSON.stringify(name)}, which could be anywhere`);
  if (name.includes('\u{fffd}'))
    throw new Error(`Cannot unpack ${JSON.stringify(name)}: its name is no text`);
  const last = parts.pop();
  let path = folder;
  for (const part of parts) {
    path = join(path, part);
    const there = await lookAt(path);
    if (there === undefined) await mkdir(path);
    else if (!there.isDirectory()) throw new Error(`${path} is no folder`);
  }
  return last === undefined ? undefined : join(path, last);
}

async function lookAt(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  return lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
}

async function makeWay(path: string): Promise<void> {
  const there = await lookAt(path);
  if (there?.isDirectory() === true) throw new Error(`${path} is a folder`);
  if (there !== undefined) await unlink(path);
}

/** True for a new one. */
async function madeFolder(path: string, { mode = 0o755 }: ReadEntry): Promise<boolean> {
  const there = await lookAt(path);
  if (there?.isDirectory() === true) return false;
  if (there !== undefined) await unlink(path);
  await mkdir(path, (mode & 0o777) | 0o700);
  return true;
}

async function settleFolder(path: string, { mode = 0o755, mtime }: ReadEntry): Promise<void> {
  if (mtime !== undefined) await utimes(path, mtime, mtime);
  if ((mode & 0o700) !== 0o700) await chmod(path, mode & 0o777);
}

async function writeFile(path: string, entry: ReadEntry): Promise<void> {
  const { mode = 0o644, mtime } = entry;
  await makeWay(path);
  await using undo = new ResourceStack();
  const file = undo.use(await open(path, 'wx', mode & 0o777));
  try {
    let left = entry.size;
    for await (const chunk of entry) {
      await file.writeFile(chunk);
      left -= chunk.length;
    }
    if (left !== 0) throw new Error(`${path} was cut off`);
    if (mtime !== undefined) await file.utimes(mtime, mtime);
  } catch (error) {
    await unlink(path);
    throw error;
  }
}
