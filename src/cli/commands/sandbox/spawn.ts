/** `bough sandbox spawn`: sandboxes from a snapshot; prints their ids. */

import type { Command } from 'commander';
import { keyValue, nameArgument, wholeNumber } from '../../arguments.js';
import { addClientOptions, addOutputOption, clientFor, printResult, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addLifetimeOptions, lifetimeRequest, type LifetimeOptions } from '../../lifetime-options.js';

interface SpawnOptions extends LifetimeOptions {
  tag: string;
  number?: number;
  name?: string;
  metadata?: Record<string, string>;
}

export function registerSpawn(parent: Command, context: Context): void {
  const command = parent
    .command('spawn')
    .description('Start sandboxes from a snapshot, all or none; prints their ids.')
    .requiredOption('--tag <tag>', 'the snapshot', nameArgument)
    .option('-n, --number <n>', 'how many (default 1)', wholeNumber(1, 1000))
    .option('--name <name>', 'a name to show')
    .option('--metadata <NAME=value>', 'a fact to keep with it; may be repeated', keyValue);
  addOutputOption(addClientOptions(addLifetimeOptions(command))).action(async (options: SpawnOptions) => {
    const client = await clientFor(command, context);
    const sandboxes = await client.sandboxes.spawn({
      snapshot_tag: options.tag,
      n: options.number,
      name: options.name,
      metadata: options.metadata,
      ...lifetimeRequest(options),
    });
    printResult(command, context, sandboxes, { lines: sandboxes.map(({ id }) => id) });
  });
  withExample(
    command,
    'id=$(bough spawn --tag base)\nbough spawn --tag base --timeout 1h --idle-timeout 10m --on-end snapshot',
  );
}
