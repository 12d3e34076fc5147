/**
 * Where the groups of a daemon's VMMs are: of cgroups version 2, or of version 1, where each controller has a tree of its own.
 *
 *   v2   <mount>/<what the daemon's own group is in>/<name>/<id>
 *   v1   <mount>/memory/<the daemon's own group>/<name>/<id>   and   <mount>/pids/…
 *
 * Under version 2 a group that has groups limited below it must hold no process itself, so these stand beside the daemon's own: they outlive its
 * service, as sandboxes do, and are under whatever limits both.
 *
 * Not handled: controllers of both versions at once, but for version 1 where memory is one of its controllers.
 */
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { namesIn } from '../../base/index.js';
import { Cgroup, type CgroupFolders, type CgroupLimits, type CgroupVersion } from './cgroup.js';

/** Where the kernel shows its groups; tests have another place. */
export interface CgroupMount {
  readonly mount: string;
  /** What /proc/self/cgroup says. */
  readonly own: () => Promise<string>;
}

const hostMount: CgroupMount = {
  mount: '/sys/fs/cgroup',
  own: () => readFile('/proc/self/cgroup', 'utf8'),
};

const v1: CgroupVersion = {
  limit: 'memory.limit_in_bytes',
  shared: /^total_shmem (\d+)$/m,
  kills: 'memory.oom_control',
  noSwap: 'memory.swappiness',
};
const v2: CgroupVersion = {
  limit: 'memory.max',
  shared: /^shmem (\d+)$/m,
  kills: 'memory.events',
  noSwap: 'memory.swap.max',
};
const NEEDED = '+memory +pids';

export class Cgroups {
  readonly #name: string;
  readonly #where: CgroupMount;

  /** `name` tells the groups of this daemon's VMMs from others'. */
  constructor(name: string, where: CgroupMount = hostMount) {
    this.#name = name;
    this.#where = where;
  }

  /** Makes a group for a VMM that is about to start. Rejects with why this host has none; nothing is left then. */
  async make(id: string, limits: CgroupLimits): Promise<Cgroup> {
    const parents = await this.#parents();
    if (parents.version === v2) {
      await writeFile(join(dirname(parents.memory), 'cgroup.subtree_control'), NEEDED);
      await mkdir(parents.memory, { recursive: true });
      await writeFile(join(parents.memory, 'cgroup.subtree_control'), NEEDED);
    }
    return Cgroup.make(foldersOf(parents, id), limits);
  }

  /** That of a VMM that an earlier daemon started; undefined where there is none. */
  async find(id: string, memoryBytes: number): Promise<Cgroup | undefined> {
    const group = new Cgroup(foldersOf(await this.#parents(), id), memoryBytes);
    return (await group.isThere()) ? group : undefined;
  }

  /** Removes the groups in which nothing runs. */
  async removeEmpty(): Promise<void> {
    const { memory, pids } = await this.#parents();
    for (const parent of new Set([memory, pids])) {
      // Files of the kernel's are no folders, and what is in use is busy: both refuse.
      for (const name of await namesIn(parent)) await rmdir(join(parent, name)).catch(() => undefined);
      await rmdir(parent).catch(() => undefined);
    }
  }

  /** Those that hold the folders of VMMs. */
  async #parents(): Promise<CgroupFolders> {
    const { mount } = this.#where;
    const own = await this.#where.own();
    if (await exists(join(mount, 'cgroup.controllers'))) {
      const beside = dirname(/^0::(.*)$/m.exec(own)?.[1] ?? '/');
      const folder = join(mount, beside, this.#name);
      return { version: v2, memory: folder, pids: folder };
    }
    const below = async (controller: string): Promise<string> => {
      const pattern = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm');
      const path = pattern.exec(own)?.[1];
      if (path === undefined) throw new Error(`this kernel has no controller of ${controller}`);
      // In a container the path may be seen from elsewhere than the mount.
      const seen = join(mount, controller, path);
      return join((await exists(seen)) ? seen : join(mount, controller), this.#name);
    };
    return { version: v1, memory: await below('memory'), pids: await below('pids') };
  }
}

function foldersOf({ version, memory, pids }: CgroupFolders, id: string): CgroupFolders {
  return { version, memory: join(memory, id), pids: join(pids, id) };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
