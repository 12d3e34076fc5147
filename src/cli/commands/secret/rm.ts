/** `bough secret rm`: remove secrets. */

import type { Command } from 'commander';
import { nameArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { forEach } from '../../each.js';
import { withExample } from '../../example.js';

export function registerSecretRm(parent: Command, context: Context): void {
  const command = parent
    .command('rm')
    .description('Remove secrets; what running sandboxes ask of their hosts is refused from then on.')
    .argument('<names...>', 'the secrets', nameArguments);
  addClientOptions(command).action(async (names: string[]) => {
    const { secrets } = await clientFor(command, context);
    await forEach(names, (name) => secrets.remove(name), context.io);
  });
  withExample(command, 'bough secret rm search');
}
