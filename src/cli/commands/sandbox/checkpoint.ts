/** `bough sandbox checkpoint`: make a point to go back to; prints its tag. */

import type { Command } from 'commander';
import { nameArgument, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';

export function registerCheckpoint(parent: Command, context: Context): void {
  const command = parent
    .command('checkpoint')
    .description('Capture a running sandbox as a point that `bough undo` goes back to; prints its tag.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .option('--tag <tag>', 'name of the checkpoint (default: made up)', nameArgument);
  addOutputOption(addClientOptions(command)).action(async (id: string, { tag }: { tag?: string }) => {
    const client = await clientFor(command, context);
    const made = await withProgress(context.io, `taking a checkpoint of ${id}`, () =>
      client.sandboxes.timeline(id).checkpoint({ tag }),
    );
    printResult(command, context, made, { lines: [made.tag] });
  });
  withExample(command, 'bough checkpoint $id');
}
