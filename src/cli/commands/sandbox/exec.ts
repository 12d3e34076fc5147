/** `bough sandbox exec`: a program in the guest. Its output and its status become this command's. */

import type { Command } from 'commander';
import { limits } from '../../../daemon/shell/limits.js';
import { durationUpTo, keyValue, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addOutputOption, printAsData } from '../../output.js';
import { withExample } from '../../example.js';
import { CommandEnd } from '../../exit.js';
import { printOutput } from '../../guest-output.js';

interface ExecOptions {
  timeout?: number;
  env?: Record<string, string>;
  cwd?: string;
  stdin?: true;
}

export function registerExec(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('exec')
    .description('Run a program in a sandbox; passes on its output and ends with its status.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<args...>', 'the program and its arguments; put -- before them')
    .option('--timeout <duration>', 'how long it may take (default 30s, at most 1h)', durationUpTo(3600))
    .option('-e, --env <NAME=value>', 'a variable for its environment; may be repeated', keyValue)
    .option('--cwd <dir>', 'its working directory in the guest')
    .option('-i, --stdin', 'pass standard input to it: text, at most 1 MiB; without this it gets none');
  addOutputOption(addClientOptions(command)).action(
    async (id: string, args: string[], options: ExecOptions) => {
      const client = await clientFor(command, context);
      const result = await client.sandboxes.exec(id, {
        // With an option-like program commander leaves the separator in.
        args: args[0] === '--' ? args.slice(1) : args,
        timeout_secs: options.timeout,
        env: options.env,
        cwd: options.cwd,
        stdin: options.stdin === true ? await io.readStdin(limits.bodyLimitBytes) : undefined,
      });
      if (!printAsData(command, context, result)) printOutput(io, result);
      if (result.exit_code !== 0) throw new CommandEnd(result.exit_code);
    },
  );
  withExample(command, 'bough exec $id -- python3 -c "print(6 * 7)"');
}
