/** `bough sandbox pause`. */

import type { Command } from 'commander';
import { sandboxArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { forEach } from '../../each.js';
import { withExample } from '../../example.js';

export function registerPause(parent: Command, context: Context): void {
  const command = parent
    .command('pause')
    .description("Stop a sandbox's processors; it keeps its memory, can be branched, and takes no calls.")
    .argument('<ids...>', 'the sandboxes, by id or name', sandboxArguments);
  addClientOptions(command).action(async (ids: string[]) => {
    const { transport } = await clientFor(command, context);
    await forEach(ids, (id) => transport.call('pauseSandbox', { params: { id }, body: {} }), context.io);
  });
  withExample(command, 'bough pause $id');
}
