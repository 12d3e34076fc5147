/** `bough sandbox info`: all that is known of one. */

import type { Command } from 'commander';
import { nameArgument } from '../../arguments.js';
import { addClientOptions, addOutputOption, clientFor, printFacts, type Context } from '../../context.js';
import { withExample } from '../../example.js';

export function registerSandboxInfo(parent: Command, context: Context): void {
  const command = parent
    .command('info')
    .description('Show all that is known of a sandbox.')
    .argument('<id>', 'the sandbox', nameArgument);
  addOutputOption(addClientOptions(command)).action(async (id: string) => {
    printFacts(command, context, await (await clientFor(command, context)).sandboxes.get(id));
  });
  withExample(command, 'bough sandbox info $id');
}
