/** `bough sandbox rm`: end sandboxes. */

import type { Command } from 'commander';
import { nameArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { removeEach } from '../../remove-each.js';

export function registerSandboxRm(parent: Command, context: Context): void {
  const command = parent
    .command('rm')
    .description('End sandboxes, whatever runs in them.')
    .argument('<ids...>', 'the sandboxes', nameArguments);
  addClientOptions(command).action(async (ids: string[]) => {
    const client = await clientFor(command, context);
    await removeEach(ids, (id) => client.sandboxes.delete(id), context.io);
  });
  withExample(command, 'bough sandbox rm $id');
}
