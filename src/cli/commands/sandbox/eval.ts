/** `bough sandbox eval`: code in the guest's warm interpreter. */

import type { Command } from 'commander';
import { durationUpTo, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addOutputOption, printAsData } from '../../output.js';
import { withExample } from '../../example.js';
import { CommandEnd, exitCodes } from '../../exit.js';
import { printOutput } from '../../guest-output.js';

export function registerEval(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('eval')
    .description(
      "Evaluate code in the image's warm interpreter; prints what it prints, then the value of its last expression.",
    )
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<code>', 'statements; the value of the last one is printed if it is an expression')
    .option('--timeout <duration>', 'how long it may take (default 30s, at most 1h)', durationUpTo(3600));
  addOutputOption(addClientOptions(command)).action(
    async (id: string, code: string, { timeout }: { timeout?: number }) => {
      const client = await clientFor(command, context);
      const answer = await client.sandboxes.eval(id, { code, timeout_secs: timeout });
      if (!printAsData(command, context, answer)) {
        printOutput(io, answer);
        if (answer.result !== null) io.stdout(`${answer.result}\n`);
        if (answer.error !== null) io.stderr(`${answer.error.trimEnd()}\n`);
      }
      if (answer.exit_code !== 0) throw new CommandEnd(answer.exit_code);
      if (answer.error !== null) throw new CommandEnd(exitCodes.failed);
    },
  );
  withExample(command, 'bough eval $id "numpy.arange(10).sum()"');
}
