/** `bough sandbox info`, or `bough inspect`: all that is known of one. */

import type { Command } from 'commander';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addOutputOption, printFacts } from '../../output.js';
import { withExample } from '../../example.js';

export function registerSandboxInfo(parent: Command, context: Context, name = 'info'): void {
  const command = parent
    .command(name)
    .description('Show all that is known of a sandbox.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument);
  addOutputOption(addClientOptions(command)).action(async (id: string) => {
    const sandbox = await (await clientFor(command, context)).sandboxes.get(id);
    printFacts(command, context, sandbox, sandbox.id);
  });
  withExample(command, `bough ${name === 'info' ? 'sandbox info' : name} $id -o yaml`);
}
