/** The command line as a person runs it: a process of its own, its output and its status. */
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const DEADLINE_MS = 60_000;

export interface CliRun {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Runs `bough` with these arguments; `input` is its standard input. */
export async function runCli(
  args: readonly string[],
  { url, input = '' }: { url?: string; input?: string } = {},
): Promise<CliRun> {
  const env = url === undefined ? {} : { BOUGH_URL: url };
  const { stdout, stderr, exitCode } = await execa(process.execPath, [MAIN, ...args], {
    env,
    input,
    reject: false,
    stripFinalNewline: false,
    timeout: DEADLINE_MS,
  });
  return { stdout, stderr, status: exitCode ?? -1 };
}
