/** From a process as the host tells it to the API's object. */
import { constants } from 'node:os';
import type { Process as HostProcess } from '../../agent/index.js';
import { compact } from '../../base/index.js';
import type { Process } from '../../contract/index.js';

export function wireProcess(process: HostProcess): Process {
  return {
    pid: process.pid,
    args: process.args,
    pty: process.pty,
    started_at_unix: process.startedAtUnix,
    running: process.running,
    stdin_bytes: process.stdinBytes,
    stdout_from: process.stdoutFrom,
    stdout_to: process.stdoutTo,
    stderr_from: process.stderrFrom,
    stderr_to: process.stderrTo,
    ...compact({
      tag: process.tag,
      exit_code: process.exitCode,
      signal: process.signal === undefined ? undefined : signalName(process.signal),
      ended_at_unix: process.endedAtUnix,
      timed_out: process.timedOut,
    }),
  };
}

/** Names of signals are those of this machine, which is as its guests are. */
const names = new Map<number, string>(
  Object.entries(constants.signals).map(([name, number]) => [number, name]),
);

function signalName(number: number): string {
  return names.get(number) ?? `SIGRT${number}`;
}

/** The number of a signal by its name, with or without SIG; undefined for none. */
export function signalNumber(signal: string | number): number | undefined {
  if (typeof signal === 'number') return signal;
  const name = signal.startsWith('SIG') ? signal : `SIG${signal}`;
  return (constants.signals as Readonly<Record<string, number | undefined>>)[name];
}
