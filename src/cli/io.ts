/** What the command line has of its process: data goes to stdout, words to stderr. Tests give their own. */

import { readText } from './standard-input.js';

export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether words on stderr are read by a person as they come. */
  readonly isTerminal: boolean;
  /** All of standard input as text; throws UsageError when it is larger, or no text. */
  readonly readStdin: (limitBytes: number) => Promise<string>;
}

/** The real one. A reader that closes the pipe early (`| head`) ends the process quietly. */
export function processIo(): Io {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  return {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    env: process.env,
    isTerminal: process.stderr.isTTY,
    readStdin: (limitBytes) => readText(process.stdin, limitBytes),
  };
}
