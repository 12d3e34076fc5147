/**
 * VMMs of ours that run right now, whether anybody's notes know of them or not.
 *
 * A process counts as ours when it runs QEMU (or the shell that is about to become it) and its own arguments
 * name both a VM and the QMP socket which a VM of that name has here. The pid comes with the start time, so
 * that whoever signals it later does not hit another process that got the number since.
 *
 * Not handled: processes of other users, which /proc does not let us look at.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { LAUNCHER_NAME } from './vmm-process.js';
import { socketBackend } from '../machine/machine.js';
import { processStartTicks } from './process-identity.js';

export interface RunningVmm {
  readonly name: string;
  readonly pid: number;
  readonly startTimeTicks: number;
}

/** Looks through /proc; `qmpSocketOf` tells which socket a VM of that name has here. */
export async function findRunningVmms(qmpSocketOf: (name: string) => string): Promise<RunningVmm[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => lookAt(pid, qmpSocketOf).catch(() => undefined)));
  return found.filter((vmm) => vmm !== undefined);
}

async function lookAt(pid: number, qmpSocketOf: (name: string) => string): Promise<RunningVmm | undefined> {
  const startTimeTicks = await processStartTicks(pid);
  const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  const name = vmNameIn(args, qmpSocketOf);
  if (name === undefined || startTimeTicks === undefined) return undefined;
  const runsQemu = basename(await readlink(`/proc/${pid}/exe`)).startsWith('qemu-system');
  return runsQemu || args.includes(LAUNCHER_NAME) ? { name, pid, startTimeTicks } : undefined;
}

/** The name of the VM these arguments start, if its QMP socket is the one it would have here. */
export function vmNameIn(args: readonly string[], qmpSocketOf: (name: string) => string): string | undefined {
  const name = /^guest=([A-Za-z0-9._-]+),debug-threads=on$/.exec(args[args.indexOf('-name') + 1] ?? '')?.[1];
  if (name === undefined) return undefined;
  return args.includes(socketBackend(qmpSocketOf(name))) ? name : undefined;
}
