/**
 * A QEMU process as something that runs, can be signalled, and ends: one that we spawned, or one that an
 * earlier daemon did.
 *
 * Both kinds give an `exited` promise that never rejects. Ours ends with the kernel's report; a process that
 * is not our child cannot be waited for (Node has no pidfd), so it is watched by its start time, and looked
 * at closely once its QMP socket closes. A signal is sent only to a process whose identity was just checked,
 * so a recycled pid is never hit.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { Deferred, sleep } from '../../base/index.js';
import { PAGER_ENV_USERFAULTFD } from '../../pager/index.js';
import { isSameProcess, processStartTicks } from './process-identity.js';

/** How our child ended, or that a process of an earlier daemon is gone. */
export type VmmExit = { readonly code: number | null; readonly signal: NodeJS.Signals | null } | 'gone';

export interface VmmProcess {
  readonly pid: number;
  /** Clock ticks since boot; together with the pid it names this process and no other. */
  readonly startTimeTicks: number;
  readonly exited: Promise<VmmExit>;
  /** Sends the signal if the process still runs. */
  signal(name: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Tells that the process is probably about to end, so that a watcher looks more often. */
  expectExit(): void;
  /** Stops watching; the process runs on and `exited` may never settle. */
  release(): void;
}

/** What a VMM is started with, besides its arguments. */
export interface SpawnOptions {
  readonly qemuPath: string;
  readonly argv: readonly string[];
  /** Loaded into QEMU with LD_PRELOAD, in this order. */
  readonly libraries: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  /** Files of cgroups; who writes into each is in the group. */
  readonly entrances?: readonly string[];
  /** The command that runs QEMU with less than we have; without, QEMU runs as we do. */
  readonly walls?: readonly string[];
}

const UFFD_DEVICE = '/dev/userfaultfd';
/** The last one that every shell can name. */
const UFFD_DEVICE_FD = 9;

/** The shell's own name while it is about to become QEMU. */
export const LAUNCHER_NAME = 'bough-vmm';

/** The preload is exported last, so that it is loaded into QEMU and not into a program on the way to it. */
const PRELOAD_SCRIPT = `
if [ -n "$1" ]; then export LD_PRELOAD="$1"; fi
shift
exec "$@"`;

/**
 * What Node can set of none of its children. The groups come first, so that all of QEMU is in them. Where privileges go, the device is opened before
 * that: to ask the kernel for a userfaultfd that sees its own faults takes one. The shell behind that bears our name too, so that whoever looks
 * for VMMs meanwhile finds one.
 */
const LAUNCH_SCRIPT = `
umask 077
ulimit -c 0
IFS=:
for entrance in $2; do echo 0 > "$entrance" || exit 1; done
preload=$1
walls=$3
shift 3
if [ -n "$walls" ]; then
  if (: <> ${UFFD_DEVICE}) 2> /dev/null; then
    exec ${UFFD_DEVICE_FD}<> ${UFFD_DEVICE}
    export ${PAGER_ENV_USERFAULTFD}=${UFFD_DEVICE_FD}
  fi
  exec $walls /bin/sh -c '${PRELOAD_SCRIPT}' ${LAUNCHER_NAME} "$preload" "$@"
fi
set -- "$preload" "$@"
${PRELOAD_SCRIPT}`;

/** Starts QEMU in its own session, output to the log, nothing inherited; resolves once the process exists. */
export async function spawnVmmProcess(options: SpawnOptions): Promise<VmmProcess> {
  const log = await open(options.logPath, 'a', 0o600);
  try {
    const args = [
      '-c',
      LAUNCH_SCRIPT,
      LAUNCHER_NAME,
      options.libraries.join(' '),
      (options.entrances ?? []).join(':'),
      (options.walls ?? []).join(':'),
      options.qemuPath,
      ...options.argv,
    ];
    const child = spawn('/bin/sh', args, {
      cwd: '/',
      env: { ...options.env },
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    const exited = new Promise<VmmExit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    // Later errors are of signals that could not be sent; `exited` tells what became of the process.
    child.on('error', () => undefined);
    await once(child, 'spawn');
    child.unref();
    const pid = child.pid ?? 0;
    const startTimeTicks = await processStartTicks(pid).catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });
    return {
      pid,
      startTimeTicks: startTimeTicks ?? 0,
      exited,
      signal: (name) => Promise.resolve(void child.kill(name)),
      expectExit: () => undefined,
      release: () => undefined,
    };
  } finally {
    await log.close();
  }
}

const WATCH_INTERVAL_MS = 200;
const CLOSE_WATCH_INTERVAL_MS = 5;
const CLOSE_WATCH_ROUNDS = 200;

/** Watches a process that is not our child; the caller has checked that it is a VMM of ours. */
export function watchVmmProcess(pid: number, startTimeTicks: number): VmmProcess {
  const gone = new Deferred<VmmExit>();
  const look = async (): Promise<boolean> => {
    // What cannot be seen now, for want of descriptors, is looked at again.
    if (await isSameProcess(pid, startTimeTicks).catch(() => true)) return false;
    clearInterval(timer);
    gone.resolve('gone');
    return true;
  };
  const timer = setInterval(() => void look(), WATCH_INTERVAL_MS).unref();
  let isReleased = false;
  const lookClosely = async (): Promise<void> => {
    for (let round = 0; round < CLOSE_WATCH_ROUNDS && !isReleased && !(await look()); round++)
      await sleep(CLOSE_WATCH_INTERVAL_MS);
  };
  return {
    pid,
    startTimeTicks,
    exited: gone.promise,
    signal: async (name) => {
      if (!(await isSameProcess(pid, startTimeTicks))) {
        await look();
        return;
      }
      try {
        process.kill(pid, name);
      } catch {
        await look();
      }
      void lookClosely();
    },
    expectExit: () => void lookClosely(),
    release: () => {
      isReleased = true;
      clearInterval(timer);
    },
  };
}
