/** `bough snapshot info`: one, with its sizes and lineage. */

import type { Command } from 'commander';
import { nameArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addOutputOption, printFacts } from '../../output.js';
import { withExample } from '../../example.js';

export function registerSnapshotInfo(parent: Command, context: Context): void {
  const command = parent
    .command('info')
    .description('Show sizes and lineage of a snapshot.')
    .argument('<tag>', 'the snapshot', nameArgument);
  addOutputOption(addClientOptions(command)).action(async (tag: string) => {
    printFacts(command, context, await (await clientFor(command, context)).snapshots.info(tag), tag);
  });
  withExample(command, 'bough snapshot info base');
}
