/** `bough sandbox spawn`: sandboxes from a snapshot; prints their ids. */

import type { Command } from 'commander';
import { keyValue, nameArgument, sandboxArgument, wholeNumber } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addNetworkOptions, networkPolicy, type NetworkOptions } from '../../network-options.js';
import { withProgress } from '../../progress.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { addLifetimeOptions, lifetimeRequest, type LifetimeOptions } from '../../lifetime-options.js';

interface SpawnOptions extends LifetimeOptions, NetworkOptions {
  tag: string;
  number?: number;
  name?: string;
  metadata?: Record<string, string>;
  env?: Record<string, string>;
}

export function registerSpawn(parent: Command, context: Context): void {
  const command = parent
    .command('spawn')
    .description('Start sandboxes from a snapshot, all or none; prints their ids.')
    .requiredOption('--tag <snapshot>', 'the snapshot', nameArgument)
    .option('-n, --number <n>', 'how many (default 1)', wholeNumber(1, 1000))
    .option('--name <name>', 'a name of its own, usable wherever its id is', sandboxArgument)
    .option('--metadata <NAME=value>', 'a fact to select it by; may be repeated', keyValue)
    .option('-e, --env <NAME=value>', 'a variable of all its programs; may be repeated', keyValue);
  addOutputOption(addClientOptions(addNetworkOptions(addLifetimeOptions(command)))).action(
    async (options: SpawnOptions) => {
      const client = await clientFor(command, context);
      const request = {
        snapshot_tag: options.tag,
        n: options.number,
        name: options.name,
        metadata: options.metadata,
        env: options.env,
        network: networkPolicy(options),
        ...lifetimeRequest(options),
      };
      const sandboxes = await withProgress(context.io, `starting from ${options.tag}`, () =>
        client.sandboxes.spawn(request),
      );
      printResult(command, context, sandboxes, { lines: sandboxes.map(({ id }) => id) });
    },
  );
  withExample(
    command,
    'id=$(bough spawn --tag base)\nbough spawn --tag base --timeout 1h --idle-timeout 10m --on-end snapshot',
  );
}
