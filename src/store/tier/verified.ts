/**
 * Which files this process has seen to be what their manifest says, so that nothing is hashed twice.
 *
 * A file is remembered by inode, size and modification time: hard links of it count as the same file, and one
 * that was written to afterwards is hashed again. Not handled: a change that forges the modification time.
 */
import { stat } from 'node:fs/promises';
import type { DiskDigestKind } from '../format/disk-digest.js';

const MAX_REMEMBERED = 16_384;

/** Remembers checked files, the latest 16,384 of them; one per store. */
export class VerifiedFiles {
  readonly #digestByStamp = new Map<string, string>();
  readonly #running = new Map<string, Promise<string>>();

  /**
   * Remembers that the file at `path` has this digest, because the caller has just read or written all of it.
   */
  async remember(path: string, digest: string, kind: DiskDigestKind = 'plain'): Promise<void> {
    this.#store(await stampOf(path, kind), digest);
  }

  /**
   * The digest of the file at `path`: the remembered one, else `compute()`, which runs once for concurrent
   * callers.
   */
  async digestOf(
    path: string,
    compute: () => Promise<string>,
    kind: DiskDigestKind = 'plain',
  ): Promise<string> {
    const stamp = await stampOf(path, kind);
    const known = this.#digestByStamp.get(stamp);
    if (known !== undefined) return known;
    const running = this.#running.get(stamp) ?? this.#start(stamp, compute);
    return running;
  }

  #store(stamp: string, digest: string): void {
    this.#digestByStamp.set(stamp, digest);
    if (this.#digestByStamp.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#digestByStamp.keys()) {
      this.#digestByStamp.delete(oldest);
      break;
    }
  }

  #start(stamp: string, compute: () => Promise<string>): Promise<string> {
    const computed = compute()
      .then((digest) => {
        this.#store(stamp, digest);
        return digest;
      })
      .finally(() => this.#running.delete(stamp));
    this.#running.set(stamp, computed);
    return computed;
  }
}

async function stampOf(path: string, kind: DiskDigestKind): Promise<string> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  return `${dev}:${ino}:${size}:${mtimeNs}:${kind}`;
}
