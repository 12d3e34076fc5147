/** Files as the file system counts them: by inode and by the room they take. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../base/index.js';

/** One file as the file system counts it. */
export interface CountedFile {
  readonly dev: number;
  readonly ino: number;
  readonly links: number;
  /** Allocated, not logical. */
  readonly bytes: number;
}

/** The file at `path`, which must exist. */
export async function countFile(path: string): Promise<CountedFile> {
  const { dev, ino, nlink, blocks } = await stat(path);
  return { dev, ino, links: nlink, bytes: blocks * 512 };
}

/** All files at or below a path, each link counted; what vanishes meanwhile is left out. */
export async function filesBelow(path: string): Promise<CountedFile[]> {
  const names = await readdir(path, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (errorCode(error) === 'ENOTDIR') return undefined;
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  const paths =
    names === undefined
      ? [path]
      : names.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name));
  const files: CountedFile[] = [];
  for (const each of paths) {
    const counted = await countIfThere(each);
    if (counted !== undefined) files.push(counted);
  }
  return files;
}

async function countIfThere(path: string): Promise<CountedFile | undefined> {
  try {
    return await countFile(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** What removing these in this order frees, one after the other: a file goes with its last link. */
export function freedBytes(removed: readonly { readonly files: readonly CountedFile[] }[]): number[] {
  const links = new Map<string, number>();
  return removed.map(({ files }) => {
    let bytes = 0;
    for (const file of files) {
      const inode = `${file.dev}:${file.ino}`;
      const gone = (links.get(inode) ?? 0) + 1;
      links.set(inode, gone);
      if (gone === file.links) bytes += file.bytes;
    }
    return bytes;
  });
}
