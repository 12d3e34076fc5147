/**
 * Which process a pid means.
 *
 * Pids are reused, so a pid from an earlier daemon's notes names our VMM only together with the moment the
 * process started, which the kernel keeps in clock ticks since boot (proc(5), /proc/<pid>/stat field 22), and
 * with the sandbox's name in its arguments. A zombie counts as gone: it holds no memory, and who has to reap
 * it may never do so.
 */
import { readFile } from 'node:fs/promises';
import { errorCode } from '../../base/index.js';

/** Start of the process in clock ticks since boot, or undefined if no such process runs. */
export async function processStartTicks(pid: number): Promise<number | undefined> {
  const stat = await readProc(pid, 'stat');
  if (stat === undefined) return undefined;
  const fields = fieldsAfterName(stat);
  const state = fields[0];
  const startTicks = Number(fields[19]);
  if (state === 'Z' || state === 'X' || !Number.isInteger(startTicks)) return undefined;
  return startTicks;
}

/** Whether `pid` still is the process that started at `startTimeTicks`. */
export async function isSameProcess(pid: number, startTimeTicks: number): Promise<boolean> {
  return (await processStartTicks(pid)) === startTimeTicks;
}

/** Whether the process was stopped, by a signal or a debugger. */
export async function isStopped(pid: number): Promise<boolean> {
  const stat = await readProc(pid, 'stat');
  return stat !== undefined && ['T', 't'].includes(fieldsAfterName(stat)[0] ?? '');
}

/** The fields of /proc/PID/stat after the program's name, which is in parentheses and may hold spaces and parentheses itself. */
export function fieldsAfterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Whether one of the process's arguments begins a VM of that name, as `qemuArgv` writes it. */
export async function runsVmNamed(pid: number, name: string): Promise<boolean> {
  const args = (await readProc(pid, 'cmdline'))?.split('\0') ?? [];
  return args.some((arg) => arg.includes('qemu')) && args.includes(`guest=${name},debug-threads=on`);
}

async function readProc(pid: number, file: string): Promise<string | undefined> {
  try {
    return await readFile(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}
