/**
 * Files of a draft that somebody else writes, who may write to no folder of the store: they are made empty and his, in folders that he may only
 * pass, and the store's own again before anything is read of them.
 */
import { chmod, chown, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** By user and group of that number. */
export interface Writer {
  readonly uid: number;
}

export class LentFiles {
  readonly #files: readonly string[];

  private constructor(files: readonly string[]) {
    this.#files = files;
  }

  /** Makes the files. Nobody else comes to what else is in their folders but through folders that stay closed. */
  static async lend(files: readonly string[], { uid }: Writer): Promise<LentFiles> {
    const lent = new LentFiles(files);
    for (const folder of lent.#folders) await setAccess(folder, { uid: ownUid(), gid: uid, mode: 0o710 });
    for (const path of files) {
      await (await open(path, 'wx', 0o600)).close();
      await chown(path, uid, uid);
    }
    return lent;
  }

  get #folders(): ReadonlySet<string> {
    return new Set(this.#files.map((path) => dirname(path)));
  }

  /** The folders first: from then on nobody else comes to the files. */
  async takeBack(): Promise<void> {
    const own = { uid: ownUid(), gid: process.getgid?.() ?? 0 };
    await Promise.all([...this.#folders].map((folder) => setAccess(folder, { ...own, mode: 0o700 })));
    await Promise.all(this.#files.map((path) => setAccess(path, { ...own, mode: 0o600 })));
  }
}

const ownUid = (): number => process.getuid?.() ?? 0;

interface Access {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

async function setAccess(path: string, { uid, gid, mode }: Access): Promise<void> {
  await chown(path, uid, gid);
  await chmod(path, mode);
}
