/** `bough sandbox spawn`: sandboxes from a snapshot; prints their ids. */

import { Option, type Command } from 'commander';
import { keyValue, nameArgument, sandboxArgument, wholeNumber } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addNetworkOptions, networkPolicy, type NetworkOptions } from '../../network-options.js';
import { withProgress } from '../../progress.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { addLifetimeOptions, lifetimeRequest, type LifetimeOptions } from '../../lifetime-options.js';

interface SpawnOptions extends LifetimeOptions, NetworkOptions {
  tag?: string;
  count?: number;
  number?: number;
  name?: string;
  metadata?: Record<string, string>;
  env?: Record<string, string>;
}

export function registerSpawn(parent: Command, context: Context): void {
  const command = parent
    .command('spawn')
    .description('Start sandboxes from a snapshot, all or none; prints their ids.')
    .argument('[tag]', 'the snapshot', nameArgument)
    .option('--tag <snapshot>', 'the same as an option', nameArgument)
    .option('-n, --count <n>', 'how many (default 1)', wholeNumber(1, 1000))
    .addOption(oldCount())
    .option('--name <name>', 'a name of its own, usable wherever its id is', sandboxArgument)
    .option('--metadata <NAME=value>', 'a fact to select it by; may be repeated', keyValue)
    .option('-e, --env <NAME=value>', 'a variable of all its programs; may be repeated', keyValue);
  addOutputOption(addClientOptions(addNetworkOptions(addLifetimeOptions(command)))).action(
    async (named: string | undefined, options: SpawnOptions) => {
      const tag = theTag(named, options.tag);
      const client = await clientFor(command, context);
      const request = {
        snapshot_tag: tag,
        n: options.count ?? options.number,
        name: options.name,
        metadata: options.metadata,
        env: options.env,
        network: networkPolicy(options),
        ...lifetimeRequest(options),
      };
      const sandboxes = await withProgress(context.io, `starting from ${tag}`, () =>
        client.sandboxes.spawn(request),
      );
      printResult(command, context, sandboxes, { lines: sandboxes.map(({ id }) => id) });
    },
  );
  withExample(
    command,
    'id=$(bough spawn base)\nbough spawn --tag base --timeout 1h --idle-timeout 10m --on-end snapshot',
  );
}

/** What `--count` was called before `fork` had the same. */
function oldCount(): Option {
  return new Option('--number <n>').argParser(wholeNumber(1, 1000)).hideHelp();
}

/** Said in either way, once. */
function theTag(argument: string | undefined, option: string | undefined): string {
  const tag = argument ?? option;
  if (tag === undefined) throw new UsageError('name the snapshot to start from: bough spawn <tag>');
  if (option !== undefined && option !== tag)
    throw new UsageError(`"${tag}" and --tag "${option}" are two snapshots; name one`);
  return tag;
}
