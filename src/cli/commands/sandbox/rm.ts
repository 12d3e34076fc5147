/** `bough sandbox rm`: end sandboxes. */

import type { Command } from 'commander';
import { sandboxArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { endSandboxes } from '../../end-sandboxes.js';
import { addSelectorOption, type SelectorOptions } from '../../selected.js';

export function registerSandboxRm(parent: Command, context: Context): void {
  const command = parent
    .command('rm')
    .description('End sandboxes, whatever runs in them.')
    .argument('[ids...]', 'the sandboxes, by id or name', sandboxArguments);
  addSelectorOption(addClientOptions(command)).action(async (ids: string[], options: SelectorOptions) => {
    await endSandboxes(await clientFor(command, context), ids, options, context.io);
  });
  withExample(command, 'bough sandbox rm $id\nbough sandbox rm --selector job=tests');
}
