/** The command line as a person runs it: a process of its own, its output and its status. */
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { limitMs } from './time-limit.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const DEADLINE_MS = 60_000;

export interface CliInput {
  readonly url?: string;
  readonly input?: string;
}

export interface CliRun {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Runs `bough` with these arguments; `input` is its standard input. */
export async function runCli(args: readonly string[], how: CliInput = {}): Promise<CliRun> {
  const { stdout, stderr, exitCode } = await startCli(args, how);
  return { stdout, stderr, status: exitCode ?? -1 };
}

/** The same, while it runs. */
export function startCli(args: readonly string[], { url, input = '' }: CliInput = {}) {
  const env = url === undefined ? {} : { BOUGH_URL: url };
  return execa(process.execPath, [MAIN, ...args], {
    ...({ env, input, reject: false, stripFinalNewline: false } as const),
    timeout: limitMs(DEADLINE_MS),
  });
}
