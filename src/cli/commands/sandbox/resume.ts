/** `bough sandbox resume`. */

import type { Command } from 'commander';
import { sandboxArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { forEach } from '../../each.js';
import { withExample } from '../../example.js';

export function registerResume(parent: Command, context: Context): void {
  const command = parent
    .command('resume')
    .description('Let a paused sandbox run again.')
    .argument('<ids...>', 'the sandboxes, by id or name', sandboxArguments);
  addClientOptions(command).action(async (ids: string[]) => {
    const { transport } = await clientFor(command, context);
    await forEach(ids, (id) => transport.call('resumeSandbox', { params: { id }, body: {} }), context.io);
  });
  withExample(command, 'bough resume $id');
}
