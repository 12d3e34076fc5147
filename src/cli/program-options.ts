/** Options of commands that run a program in a guest. */

import type { Command } from 'commander';
import { duration, keyValue } from './arguments.js';
import type { GuestProgram } from './guest-program.js';

export interface ProgramOptions {
  timeout?: number;
  env?: Record<string, string>;
  cwd?: string;
  user?: string;
  stdin?: true;
  tty?: true;
}

export function addProgramOptions(command: Command): Command {
  return command
    .option('--timeout <duration>', 'how long it may take (default: as long as it takes)', duration)
    .option('-e, --env <NAME=value>', 'a variable for its environment; may be repeated', keyValue)
    .option('-w, --cwd <dir>', 'its working directory in the guest')
    .option(
      '-u, --user <user>',
      "the guest's user that it runs as, by name or number, perhaps with :group (default: the image's)",
    )
    .option('-i, --stdin', 'pass standard input to it; without this it gets none')
    .option('-t, --tty', 'give it a terminal, and with it standard input, if this command has one');
}

/** The program that the words and the options describe. */
export function guestProgram(words: readonly string[], options: ProgramOptions): GuestProgram {
  return {
    args: words,
    env: options.env,
    cwd: options.cwd,
    user: options.user,
    timeoutSecs: options.timeout,
    hasInput: options.stdin === true,
    wantsTerminal: options.tty === true,
  };
}
