/**
 * Where a copy goes, as with docker's `cp`:
 *
 *   SOURCE        TARGET is a folder           there is nothing              TARGET is something else
 *   file, link    goes in, by its own name     becomes it, in a folder       gives way to it
 *                                              that is there
 *   folder        goes in, by its own name     becomes it, likewise          is refused
 *   folder/.      what is in it goes in        becomes it, likewise          is refused
 *
 * A TARGET that ends in a slash has to be a folder. A SOURCE that does so, or ends in `/.`, is what a link leads to; other links are
 * copied as links.
 */

import { posix } from 'node:path';
import type { Found, Side } from './side.js';

export interface End {
  readonly side: Side;
  readonly path: string;
}

/** Copies one thing, a folder with all that is in it. */
export async function copy(source: End, target: End, how: { readonly follow: boolean }): Promise<void> {
  const found = await sourceAt(source, how);
  const place = { ...target, path: await placeIn(target, source, found) };
  if (found.type === 'folder') {
    await ensureFolder(place, found.mode);
    await place.side.unpack(place.path, source.side.pack(source.path));
  } else if (found.type === 'link') await place.side.makeLink(place.path, found.target ?? '');
  else {
    const old = await place.side.look(place.path, { follow: true });
    const mode = old === undefined ? found.mode & 0o777 : undefined;
    await place.side.write(place.path, source.side.read(source.path), mode);
  }
}

/** The bytes of a file, of a folder the archive of what is in it. */
export async function bytesOf(source: End): Promise<AsyncIterable<Uint8Array>> {
  const { type } = await sourceAt(source, { follow: true });
  return type === 'folder' ? source.side.pack(source.path) : source.side.read(source.path);
}

/** Bytes become a file; those for a folder are an archive of what goes in. */
export async function putBytes(bytes: AsyncIterable<Uint8Array>, { side, path }: End): Promise<void> {
  const there = await side.look(path, { follow: true });
  if (there?.type === 'folder') await side.unpack(path, bytes);
  else if (path.endsWith('/')) throw new Error(`There is no folder ${side.nameOf(path)}`);
  else {
    if (there === undefined) await checkFolderOf(side, path);
    await side.write(path, bytes, undefined);
  }
}

async function sourceAt({ side, path }: End, { follow }: { readonly follow: boolean }): Promise<Found> {
  const found = await side.look(path, { follow: follow || /\/\.?$/.test(path) });
  if (found === undefined) throw new Error(`There is no ${side.nameOf(path)}`);
  if (found.type === 'other')
    throw new Error(`Cannot copy ${side.nameOf(path)}: it is neither a file nor a folder`);
  if (found.type !== 'folder' && /\/\.?$/.test(path)) throw new Error(`${side.nameOf(path)} is no folder`);
  return found;
}

async function placeIn({ side, path }: End, source: End, { type }: Found): Promise<string> {
  const there = await side.look(path, { follow: true });
  if (there?.type === 'folder') return posix.join(path, ownName(source.path));
  if (there !== undefined && type === 'folder')
    throw new Error(
      `Cannot copy the folder ${source.side.nameOf(source.path)} over ${side.nameOf(path)}, which is none`,
    );
  if (path.endsWith('/') && type !== 'folder') throw new Error(`There is no folder ${side.nameOf(path)}`);
  if (there === undefined) await checkFolderOf(side, path);
  return path;
}

/** What is new needs a folder to be in, as with docker's cp; that it is missing is said by its name. */
async function checkFolderOf(side: End['side'], path: string): Promise<void> {
  const folder = posix.dirname(path);
  if ((await side.look(folder, { follow: true })) === undefined)
    throw new Error(`There is no folder ${side.nameOf(folder)}`);
}

/** What it is called in a folder; `.` for what is in it. */
function ownName(path: string): string {
  const last = path.endsWith('/.') ? '.' : posix.basename(path);
  return last === '' || last === '..' ? '.' : last;
}

async function ensureFolder({ side, path }: End, mode: number): Promise<void> {
  const there = await side.look(path, { follow: true });
  if (there === undefined) await side.makeFolder(path, mode & 0o777);
  else if (there.type !== 'folder') throw new Error(`${side.nameOf(path)} is no folder`);
}
