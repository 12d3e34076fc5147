/** `bough snapshot compact`: one without parents. */

import type { Command } from 'commander';
import { nameArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withProgress } from '../../progress.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';

export function registerCompact(parent: Command, context: Context): void {
  const command = parent
    .command('compact')
    .description('Fold a snapshot and its ancestors into a new one without parents.')
    .argument('<tag>', 'the snapshot', nameArgument)
    .requiredOption('--to <tag>', 'name of the new snapshot', nameArgument);
  addOutputOption(addClientOptions(command)).action(async (tag: string, { to }: { to: string }) => {
    const { snapshots } = await clientFor(command, context);
    const made = await withProgress(context.io, `folding ${tag}`, () => snapshots.compact(tag, to));
    printResult(command, context, made, { lines: [made.tag] });
  });
  withExample(command, 'bough snapshot compact step-40 --to base-2');
}
