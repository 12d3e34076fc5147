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
  /** What /proc/PID/cgroup says of a process. */
  readonly groupsOf: (pid: number | 'self') => Promise<string>;
}

const hostMount: CgroupMount = {
  mount: '/sys/fs/cgroup',
  groupsOf: (pid) => readFile(`/proc/${pid}/cgroup`, 'utf8'),
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
    const parents = await this.#ownParents();
    if (parents.version === v2) {
      await writeFile(join(dirname(parents.memory), 'cgroup.subtree_control'), NEEDED);
      await mkdir(parents.memory, { recursive: true });
      await writeFile(join(parents.memory, 'cgroup.subtree_control'), NEEDED);
    }
    return Cgroup.make(foldersOf(parents, id), limits);
  }

  /** That of a VMM that an earlier daemon started, whose own group may have been another; undefined where there is none. */
  async find(id: string, pid: number, memoryBytes: number): Promise<Cgroup | undefined> {
    const groups = await this.#where.groupsOf(pid);
    const parents = await this.#parents(groups, (vmm) => dirname(dirname(vmm)));
    const group = new Cgroup(foldersOf(parents, id), memoryBytes);
    return (await group.isThere()) ? group : undefined;
  }

  /** Removes the groups in which nothing runs. */
  async removeEmpty(): Promise<void> {
    const { memory, pids } = await this.#ownParents();
    for (const parent of new Set([memory, pids])) {
      // Files of the kernel's are no folders, and what is in use is busy: both refuse.
      for (const name of await namesIn(parent)) await rmdir(join(parent, name)).catch(() => undefined);
      await rmdir(parent).catch(() => undefined);
    }
  }

  /** Those that hold the folders of VMMs this daemon starts. */
  async #ownParents(): Promise<CgroupFolders> {
    return this.#parents(await this.#where.groupsOf('self'), (own, version) =>
      version === v2 ? dirname(own) : own,
    );
  }

  /** Where they are for a process of these groups: in what `above` makes of each. */
  async #parents(
    groups: string,
    above: (group: string, version: CgroupVersion) => string,
  ): Promise<CgroupFolders> {
    const { mount } = this.#where;
    if (await exists(join(mount, 'cgroup.controllers'))) {
      const beside = above(/^0::(.*)$/m.exec(groups)?.[1] ?? '/', v2);
      const folder = join(mount, beside, this.#name);
      return { version: v2, memory: folder, pids: folder };
    }
    const below = async (controller: string): Promise<string> => {
      const pattern = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm');
      const path = pattern.exec(groups)?.[1];
      if (path === undefined) throw new Error(`this kernel has no controller of ${controller}`);
      // In a container the path may be seen from elsewhere than the mount.
      const seen = join(mount, controller, above(path, v1));
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
