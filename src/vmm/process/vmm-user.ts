/**
 * The user a VMM runs as where the daemon is root: a number that belongs to no account and to no other VMM, with a group of the same number.
 *
 * setpriv (util-linux) becomes that user on the way to QEMU: no capability is left, none can be gained, and no program that QEMU could run gives
 * it more. Before it, unshare takes the VMM to a network namespace in which nothing is, not even a loopback that is up: what it shares with the host are sockets that have a
 * path. What was done, /proc tells; a VMM in which it is not so is not let run.
 */
import { readFile } from 'node:fs/promises';

export interface VmmUser {
  readonly uid: number;
  /** The group that may read what VMMs share: layers and frozen disks. */
  readonly readersGid: number;
  /** Whether the VMM reaches no files but what it needs, and makes no connection. */
  readonly confined?: boolean | undefined;
}

/** Users of VMMs, first and last; the first one's group is the readers', and no VMM runs as it. */
export interface UidRange {
  readonly first: number;
  readonly last: number;
}

/** A part that no distribution gives to accounts, containers or services (uids of systemd, and the subordinate ones of Debian). */
export const DEFAULT_VMM_UIDS: UidRange = { first: 1_879_048_192, last: 2_147_352_575 };

/** Runs the program that follows as that user, in a network namespace with nothing in it. `groups` are what it is a member of besides its own. */
export function wallCommand(uid: number, groups: readonly number[]): string[] {
  return [
    ...['/usr/bin/unshare', '--net', '--', '/usr/bin/setpriv'],
    ...[`--reuid=${uid}`, `--regid=${uid}`, `--groups=${groups.join(',')}`],
    ...['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--no-new-privs', '--'],
  ];
}

/** A VMM has privileges that were to be taken from it. */
export class NotWalled extends Error {
  override readonly name = 'NotWalled';
}

/** Throws NotWalled unless the process is that user, without a way to be more, and has a network of its own. */
export async function requireWalled(pid: number, uid: number): Promise<void> {
  const [status, network] = await Promise.all(
    ['status', 'net/dev'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
  );
  const missing = missingWalls(status ?? '', uid) ?? missingNetworkWall(network ?? '');
  if (missing !== undefined) throw new NotWalled(`Process ${pid} was to run as uid ${uid}, but ${missing}`);
}

/** Pure. What of /proc/PID/net/dev, which anybody may read, is not as it is to be: a new network has a loopback that nothing has passed. */
export function missingNetworkWall(devices: string): string | undefined {
  const found = [...devices.matchAll(/^ *([^ :]+):((?: +\d+)+)$/gm)];
  const used = found.find(([, name, counts = '']) => name !== 'lo' || /[1-9]/.test(counts));
  return used && `its network has ${used[1]}`;
}

/** Pure. What of /proc/PID/status is not as it is to be; undefined if all is. */
export function missingWalls(status: string, uid: number): string | undefined {
  const valueOf = (field: string): string =>
    new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? 'missing';
  const own = [uid, uid, uid, uid].join('\t');
  const wanted = {
    ...{ Uid: own, Gid: own, NoNewPrivs: '1' },
    ...Object.fromEntries(
      ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((set) => [set, NO_CAPABILITY]),
    ),
  };
  const wrong = Object.entries(wanted).find(([field, value]) => valueOf(field) !== value);
  return wrong && `its ${wrong[0]} is ${valueOf(wrong[0])}`;
}

const NO_CAPABILITY = '0'.repeat(16);
