/** `bough network show`: what a sandbox may reach, and what came of it. */

import type { Command } from 'commander';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { printNetwork } from '../../network-facts.js';
import { addOutputOption } from '../../output.js';

export function registerNetworkShow(parent: Command, context: Context): void {
  const command = parent
    .command('show')
    .description('Show what a sandbox may reach, and what came of it.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument);
  addOutputOption(addClientOptions(command)).action(async (id: string) => {
    const { transport } = await clientFor(command, context);
    printNetwork(command, context, id, await transport.call('getNetwork', { params: { id } }));
  });
  withExample(command, 'bough network show $id');
}
