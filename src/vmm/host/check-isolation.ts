/** What stands between VMs and this host, besides QEMU's own filter, and why not more. */
import { access } from 'node:fs/promises';
import { messageOf, MiB } from '../../base/index.js';
import type { IsolationLevel } from '../../contract/index.js';
import type { Cgroups } from '../process/cgroups.js';
import { CONFINE_PROGRAM, confinedLaunch } from '../process/confinement.js';
import { DEFAULT_VMM_UIDS, wallCommand, type UidRange } from '../process/vmm-user.js';
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

const PROBE_DEADLINE_MS = 10_000;
/** Names the first path that cannot be entered or read. */
const REACH_SCRIPT = 'for path; do [ -x "$path" ] || [ -r "$path" ] || { echo "$path"; exit 1; }; done';

/**
 * Why VMMs cannot have users of their own here that reach these programs, libraries and folders; undefined where they can. It is tried, by a shell in
 * a VMM's place. What is not there yet is passed over.
 */
export async function whyNotWalled(
  { first, last }: UidRange,
  paths: readonly string[],
): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'the daemon is not root';
  const there = [];
  for (const path of paths) if (await isThere(path)) there.push(path);
  const shell = ['/bin/sh', '-c', REACH_SCRIPT, 'reach', ...there];
  const options = { reject: false, timeout: PROBE_DEADLINE_MS, cwd: '/', extendEnv: false } as const;
  const { execa } = await import('execa');
  const [program = '', ...command] = wallCommand(last, [first]);
  const result = await execa(program, [...command, ...shell], options);
  if (!result.failed) return undefined;
  if (result.stdout !== '') return `another user does not reach ${result.stdout}`;
  const said = result.stderr.trim();
  return said === '' ? (result.shortMessage ?? 'it says nothing') : said;
}

/** Why VMMs cannot be kept from what they do not need here, with a user of their own or in namespaces; undefined where they can. QEMU is tried. */
export async function whyNotConfined(
  qemuPath: string,
  { namespaced }: { readonly namespaced: boolean },
): Promise<string | undefined> {
  const { argv } = confinedLaunch(
    { qemuPath, argv: ['--version'], libraries: [] },
    { reads: [], writes: [], namespaced },
  );
  const options = { reject: false, timeout: PROBE_DEADLINE_MS, cwd: '/', extendEnv: false } as const;
  const { execa } = await import('execa');
  const result = await execa(CONFINE_PROGRAM, argv, options);
  if (!result.failed) return undefined;
  const said = result.stderr.trim().replace(/^bough-confine: /, '');
  return said === '' ? (result.shortMessage ?? 'QEMU does not start so') : said;
}

/** Which walls a VMM can be given, and which the daemon gives. */
export async function checkIsolation(
  paths: readonly string[],
  qemuPath: string,
  wanted: IsolationLevel | 'auto',
): Promise<Check> {
  const name = 'isolation';
  if (process.getuid?.() !== 0) return checkNamespaces(name, qemuPath, wanted);
  const why = await whyNotWalled(DEFAULT_VMM_UIDS, [...paths, CONFINE_PROGRAM]);
  const asDaemon = asDaemonsUser();
  if (why !== undefined)
    return warn(
      name,
      `${asDaemon}: ${why}`,
      'Run the daemon as root, with util-linux, bough and its folders where other users may pass; or where guests are not trusted on a host of its own',
    );
  const whyNotMore = await whyNotConfined(qemuPath, { namespaced: false });
  const asOwn = 'each VMM runs as a user of its own, without capabilities and without a network';
  if (wanted === 'none')
    return warn(
      name,
      `${asDaemon}; each could have its own`,
      `Run the daemon with --isolation ${whyNotMore === undefined ? 'confined' : 'user'}`,
    );
  if (whyNotMore !== undefined) return ok(name, `${asOwn}; confined it cannot be: ${whyNotMore}`);
  if (wanted === 'user') return ok(name, `${asOwn}; with --isolation confined it would reach less`);
  return ok(name, `${asOwn}, and reaches no files but what it needs`);
}

const asDaemonsUser = (): string => `VMMs run as the daemon's user (uid ${process.getuid?.() ?? 'unknown'})`;

/** Where the daemon is not root. */
async function checkNamespaces(
  name: string,
  qemuPath: string,
  wanted: IsolationLevel | 'auto',
): Promise<Check> {
  const why = await whyNotConfined(qemuPath, { namespaced: true });
  if (why !== undefined)
    return warn(
      name,
      `${asDaemonsUser()}: the daemon is not root, and ${why}`,
      'Run the daemon as root, or on Linux 5.19 where users may make namespaces; or where guests are not trusted on a host of its own',
    );
  if (wanted === 'none')
    return warn(
      name,
      `${asDaemonsUser()}; each could be in namespaces of its own`,
      'Run the daemon with --isolation namespaced, or as root with --isolation confined',
    );
  return ok(
    name,
    `${asDaemonsUser()}, each in namespaces of its own: it reaches no network, no process and no files but what it needs; users of their own take a daemon that is root`,
  );
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
