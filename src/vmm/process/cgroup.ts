/**
 * The cgroup of one VMM: how much memory it may have, and how many threads.
 *
 * The idea: the limit is about what only this VMM has. A page of a tmpfs file counts for the group that wrote it first, and a branch writes its
 * memory layer from within the source's VMM: layers would fill the limit of whoever is branched. So what the group is charged of them is
 * added to its limit: before a branch as much as that may write, afterwards what it has written. A guest cannot write there by itself.
 *
 * Not handled: processor time. A VMM has a thread for each of its guest's processors and a few others; a quota would be used up in the middle
 * of a pause.
 */
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, sleep } from '../../base/index.js';

/** What the two versions of cgroups call the same things. */
export interface CgroupVersion {
  readonly limit: string;
  /** In `memory.stat`: bytes of tmpfs files. */
  readonly shared: RegExp;
  /** With the count of processes that were killed for want of room. */
  readonly kills: string;
  /** Written so that nothing goes to swap instead, where there is any. */
  readonly noSwap: string;
}

/** One for each controller; the same folder twice under version 2. */
export interface CgroupFolders {
  readonly version: CgroupVersion;
  readonly memory: string;
  readonly pids: string;
}

export interface CgroupLimits {
  readonly memoryBytes: number;
  readonly vcpus: number;
}

/** Threads of a VMM besides its guest's processors: block jobs, the pager's, and some room. */
const THREADS_BESIDES = 256;
const REMOVE_TRIES = 100;
const REMOVE_RETRY_MS = 10;

export class Cgroup {
  readonly #folders: CgroupFolders;
  readonly #memoryBytes: number;
  #hasRunOut = false;

  constructor(folders: CgroupFolders, memoryBytes: number) {
    this.#folders = folders;
    this.#memoryBytes = memoryBytes;
  }

  /** Makes the folders and sets the limits. */
  static async make(folders: CgroupFolders, { memoryBytes, vcpus }: CgroupLimits): Promise<Cgroup> {
    const { memory, pids, version } = folders;
    for (const folder of [memory, pids]) await mkdir(folder, { recursive: true });
    const group = new Cgroup(folders, memoryBytes);
    try {
      await group.settle();
      await writeFile(join(memory, version.noSwap), '0').catch(() => undefined);
      await writeFile(join(pids, 'pids.max'), String(THREADS_BESIDES + vcpus));
      return group;
    } catch (error) {
      await group.remove().catch(() => undefined);
      throw error;
    }
  }

  /** Whoever writes `0` into each of these is in the group, and all that it starts. */
  get entrances(): readonly string[] {
    return this.#distinct.map((folder) => join(folder, 'cgroup.procs'));
  }

  async isThere(): Promise<boolean> {
    return access(this.#folders.memory).then(
      () => true,
      () => false,
    );
  }

  /** Lets the VMM write so many bytes of layers, until `settle`. */
  async makeRoom(bytes: number): Promise<void> {
    await this.#limitTo(this.#memoryBytes + (await this.#sharedBytes()) + bytes);
  }

  /** Brings the limit in line with what the group is charged of layers now. */
  async settle(): Promise<void> {
    await this.#limitTo(this.#memoryBytes + (await this.#sharedBytes()));
  }

  /** Whether the kernel has killed the VMM for want of room in its group; known on once it was asked for before the group is removed. */
  async hasRunOut(): Promise<boolean> {
    const { memory, version } = this.#folders;
    const text = await readFile(join(memory, version.kills), 'utf8').catch(() => '');
    this.#hasRunOut ||= Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
    return this.#hasRunOut;
  }

  /** Removes it, once its last process is gone. Idempotent. What it was charged of layers is charged to the group above then. */
  async remove(): Promise<void> {
    for (const folder of this.#distinct) await removeFolder(folder);
  }

  get #distinct(): readonly string[] {
    return [...new Set([this.#folders.memory, this.#folders.pids])];
  }

  async #sharedBytes(): Promise<number> {
    const { memory, version } = this.#folders;
    const text = await readFile(join(memory, 'memory.stat'), 'utf8');
    return Number(version.shared.exec(text)?.[1] ?? 0);
  }

  async #limitTo(bytes: number): Promise<void> {
    const { memory, version } = this.#folders;
    await writeFile(join(memory, version.limit), String(bytes));
  }
}

/** A process that has just ended may be in it for a moment more. */
async function removeFolder(folder: string): Promise<void> {
  for (let left = REMOVE_TRIES; ; left--) {
    try {
      await rmdir(folder);
      return;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      if (errorCode(error) !== 'EBUSY' || left === 0) throw error;
      await sleep(REMOVE_RETRY_MS);
    }
  }
}
