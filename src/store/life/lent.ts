/**
 * Files of a draft that somebody else writes, who may write to no folder of the store: they are made empty and his, in folders that he may only
 * pass, and the store's own again before anything is read of them.
 *
 * Those of the hot tier are lent by system calls of the daemon's own: on tmpfs each takes less than handing it to a thread.
 */
import { chmodSync, chownSync, closeSync, fchownSync, openSync } from 'node:fs';
import { chmod, chown, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** By user and group of that number. */
export interface Writer {
  readonly uid: number;
}

/** By the tier they are in. */
export interface FilesToLend {
  readonly hot: readonly string[];
  readonly durable: readonly string[];
}

export class LentFiles {
  readonly #files: FilesToLend;

  private constructor(files: FilesToLend) {
    this.#files = files;
  }

  /** Makes the files. Nobody else comes to what else is in their folders but through folders that stay closed. */
  static async lend(files: FilesToLend, { uid }: Writer): Promise<LentFiles> {
    const { hot, durable } = files;
    const passed = { uid: ownUid(), gid: uid, mode: 0o710 };
    for (const folder of foldersOf(hot)) setAccessInMemory(folder, passed);
    for (const path of hot) {
      const file = openSync(path, 'wx', 0o600);
      try {
        fchownSync(file, uid, uid);
      } finally {
        closeSync(file);
      }
    }
    for (const folder of foldersOf(durable)) await setAccess(folder, passed);
    for (const path of durable) {
      await (await open(path, 'wx', 0o600)).close();
      await chown(path, uid, uid);
    }
    return new LentFiles(files);
  }

  /** The folders first: from then on nobody else comes to the files. */
  async takeBack(): Promise<void> {
    const { hot, durable } = this.#files;
    const own = { uid: ownUid(), gid: process.getgid?.() ?? 0 };
    for (const folder of foldersOf(hot)) setAccessInMemory(folder, { ...own, mode: 0o700 });
    for (const path of hot) setAccessInMemory(path, { ...own, mode: 0o600 });
    await Promise.all(foldersOf(durable).map((folder) => setAccess(folder, { ...own, mode: 0o700 })));
    await Promise.all(durable.map((path) => setAccess(path, { ...own, mode: 0o600 })));
  }
}

const foldersOf = (files: readonly string[]): string[] => [...new Set(files.map((path) => dirname(path)))];

const ownUid = (): number => process.getuid?.() ?? 0;

interface Access {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

function setAccessInMemory(path: string, { uid, gid, mode }: Access): void {
  chownSync(path, uid, gid);
  chmodSync(path, mode);
}

async function setAccess(path: string, { uid, gid, mode }: Access): Promise<void> {
  await chown(path, uid, gid);
  await chmod(path, mode);
}
