/**
 * Empty qcow2 overlays, made by copying one empty file per disk size.
 *
 * An overlay's backing is named in the VM's block graph and never in its header, so every empty overlay of a
 * size is the same file. qemu-img makes it once; a branch or a spawn then pays for copying some 50 KiB and
 * not for a process.
 *
 * Clusters are 16 KiB: an empty overlay of 64 KiB clusters is 192 KiB, and the overlay's bytes are copied
 * inside the pause window.
 */
import { execFile } from 'node:child_process';
import { constants, copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errorCode, failpoint, fsyncPath, temporaryPath } from '../../base/index.js';
import type { DiskRef } from '../../store/index.js';

const CLUSTER_BYTES = 16 * 1024;
/** Where the header of a qcow2 file has the size of the disk. */
const QCOW2_SIZE_OFFSET = 24;

export class OverlayTemplates {
  readonly #dir: string;
  readonly #made = new Map<number, Promise<string>>();

  /** Keeps its templates in `dir`. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Creates an empty overlay for a disk of `diskBytes` at `path`, which must not exist. */
  async create(path: string, diskBytes: number): Promise<void> {
    await copyFile(
      await this.#template(diskBytes),
      path,
      constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE,
    );
  }

  #template(diskBytes: number): Promise<string> {
    const known = this.#made.get(diskBytes);
    if (known !== undefined) return known;
    const made = this.#make(diskBytes);
    this.#made.set(diskBytes, made);
    made.catch(() => this.#made.delete(diskBytes));
    return made;
  }

  async #make(diskBytes: number): Promise<string> {
    const path = join(this.#dir, `${diskBytes}-${CLUSTER_BYTES}.qcow2`);
    if (await exists(path)) return path;
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const unfinished = temporaryPath(path);
    try {
      await promisify(execFile)('qemu-img', [
        ...['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${CLUSTER_BYTES}`],
        ...[unfinished, String(diskBytes)],
      ]);
      await fsyncPath(unfinished);
      await failpoint('overlay.made');
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    return path;
  }
}

/** Size of the guest's disk: as the bottom of its chain says, and so every overlay on it. A folded chain has no raw file. */
export async function guestDiskBytes([base]: readonly DiskRef[]): Promise<number> {
  if (base === undefined) throw new TypeError('A sandbox needs a disk');
  const file = await open(base.path);
  try {
    if (base.format === 'raw') return (await file.stat()).size;
    const size = Buffer.alloc(8);
    await file.read(size, 0, size.length, QCOW2_SIZE_OFFSET);
    return Number(size.readBigUInt64BE());
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
