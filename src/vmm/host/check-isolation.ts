/** What stands between VMs and this host, besides QEMU's own filter, and why not more. */
import { messageOf, MiB } from '../../base/index.js';
import type { Cgroups } from '../process/cgroups.js';
import { ok, warn, type Check } from './check.js';

/** Makes a group with limits, and removes it. */
export async function checkCgroups(cgroups: Pick<Cgroups, 'make' | 'removeEmpty'>): Promise<Check> {
  const name = 'memory limits';
  try {
    const group = await cgroups.make('probe', { memoryBytes: 64 * MiB, vcpus: 1 });
    await group.remove();
    return ok(name, 'a cgroup holds a sandbox to its memory_limit_mib');
  } catch (error) {
    return warn(
      name,
      `sandboxes with a memory_limit_mib are refused: ${messageOf(error)}`,
      'Run the daemon as root where it may write below /sys/fs/cgroup, with the controllers memory and pids',
    );
  } finally {
    await cgroups.removeEmpty().catch(() => undefined);
  }
}

/** The user a VMM runs as: the daemon's own, so far. */
export function checkIsolation(): Check {
  const uid = process.getuid?.() ?? -1;
  const found = `VMMs run as the daemon's user (uid ${uid})`;
  if (uid !== 0) return ok('isolation', found);
  return warn(
    'isolation',
    `${found}, without a user or a namespace of their own`,
    'Where guests are not trusted, run the daemon as a user of its own, or on a host of its own',
  );
}
