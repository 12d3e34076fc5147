/**
 * `bough rm`: end sandboxes, or with --snapshot remove snapshots. Which of the two is said, never guessed: an
 * id and a tag may look alike.
 */

import type { Command } from 'commander';
import { sandboxArguments } from '../arguments.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { endSandboxes } from '../end-sandboxes.js';
import { withExample } from '../example.js';
import { UsageError } from '../exit.js';
import {
  addSnapshotRemovalOptions,
  removeSnapshots,
  snapshotRemoval,
  type SnapshotRemovalOptions,
} from '../each.js';
import { addSelectorOption, type SelectorOptions } from '../selected.js';

interface RmOptions extends SnapshotRemovalOptions, SelectorOptions {
  snapshot?: true;
}

export function registerRm(program: Command, context: Context): void {
  const command = program
    .command('rm')
    .description('End sandboxes, or remove snapshots with --snapshot.')
    .argument('[names...]', 'sandboxes, by id or name, or tags with --snapshot', sandboxArguments)
    .option('--snapshot', 'the names are tags of snapshots');
  addSelectorOption(addClientOptions(addSnapshotRemovalOptions(command))).action(
    async (names: string[], { snapshot, ...options }: RmOptions) => {
      if (snapshot !== true && (options.cascade === true || options.force === true)) {
        throw new UsageError('--cascade and --force are for snapshots: add --snapshot');
      }
      const how = snapshotRemoval(options);
      const client = await clientFor(command, context);
      if (snapshot !== true) return endSandboxes(client, names, options, context.io);
      if (options.selector !== undefined || names.length === 0)
        throw new UsageError('Snapshots are removed by their tags');
      return removeSnapshots(client, names, how, context.io);
    },
  );
  withExample(command, 'bough rm $id\nbough rm --snapshot --cascade base');
}
