/** `bough network check`: what the policy says of an address; ends with 1 for one that is refused. */

import type { Command } from 'commander';
import { sandboxArgument, wholeNumber } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { CommandEnd, exitCodes } from '../../exit.js';
import { addOutputOption, printResult } from '../../output.js';

export function registerNetworkCheck(parent: Command, context: Context): void {
  const command = parent
    .command('check')
    .description(
      "What a sandbox's policy says of a name or an address; ends with 1 if it is refused. Connects to nothing.",
    )
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<host>', 'a name or an address')
    .argument('[port]', 'default 443', wholeNumber(1, 65_535));
  addOutputOption(addClientOptions(command)).action(async (id: string, host: string, port = 443) => {
    const { transport } = await clientFor(command, context);
    const answer = await transport.call('checkNetwork', {
      params: { id },
      body: { host, port: Number(port) },
    });
    printResult(command, context, answer, { lines: [answer.verdict], words: answer.why });
    if (answer.verdict === 'refused') throw new CommandEnd(exitCodes.failed);
  });
  withExample(command, 'bough network check $id pypi.org 443');
}
