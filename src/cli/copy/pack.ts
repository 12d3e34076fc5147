/**
 * A folder of this machine as a tar archive, read as it is taken: files, folders and links, with modes and times. Everything in it is
 * root's, whoever it belongs to here.
 *
 * Not handled: names that are no text, which are refused; and hard links, of which each becomes a file.
 */

import { constants } from 'node:fs';
import { lstat, open, opendir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Header, Pax, type HeaderData } from 'tar';
import { compact, ResourceStack } from '../../base/index.js';

const BLOCK_BYTES = 512;
const CHUNK_BYTES = 256 << 10;
const END = Buffer.alloc(2 * BLOCK_BYTES);

/** The archive of what is in `folder`; `note` is told what is left out. */
export async function* packed(
  folder: string,
  note: (words: string) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* below(folder, '', note);
  yield END;
}

/** The archive of one link. */
export function archiveOfLink(name: string, target: string): Uint8Array {
  return Buffer.concat([header({ path: name, type: 'SymbolicLink', linkpath: target, mode: 0o777 }), END]);
}

async function* below(
  folder: string,
  inside: string,
  note: (words: string) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { name } of await opendir(join(folder, inside))) {
    const [path, at] = [`${inside}${name}`, join(folder, inside, name)];
    if (name.includes('\u{fffd}')) throw new Error(`Cannot copy ${at}: its name is no text`);
    const info = await lstat(at);
    const facts = { mode: info.mode & 0o7777, mtime: info.mtime };
    if (info.isDirectory()) {
      yield header({ path: `${path}/`, type: 'Directory', ...facts });
      yield* below(folder, `${path}/`, note);
    } else if (info.isSymbolicLink())
      yield header({ path, type: 'SymbolicLink', linkpath: await readlink(at), ...facts });
    else if (info.isFile()) yield* file(at, path);
    else note(`${at} is left out: it is neither a file nor a folder`);
  }
}

async function* file(at: string, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  await using undo = new ResourceStack();
  const handle = undo.use(await open(at, constants.O_RDONLY | constants.O_NOFOLLOW));
  const { size, mode, mtime } = await handle.stat();
  yield header({ path, type: 'File', size, mode: mode & 0o7777, mtime });
  for (let left = size; left > 0;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(left, CHUNK_BYTES)));
    if (bytesRead === 0) throw new Error(`${at} became shorter while it was copied`);
    yield buffer.subarray(0, bytesRead);
    left -= bytesRead;
  }
  yield Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}

function header(fields: HeaderData): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const needsMore = new Header({ uid: 0, gid: 0, ...fields }).encode(block);
  if (!needsMore) return block;
  const { path, linkpath, size } = fields;
  return Buffer.concat([new Pax(compact({ path, linkpath, size })).encode(), block]);
}
