/**
 * `bough rm`: end sandboxes, or with --snapshot remove snapshots. Which of the two is said, never guessed: an
 * id and a tag may look alike.
 */

import type { Command } from 'commander';
import { nameArguments } from '../arguments.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { withExample } from '../example.js';
import { UsageError } from '../exit.js';
import {
  addSnapshotRemovalOptions,
  removeEach,
  snapshotRemoval,
  type SnapshotRemovalOptions,
} from '../remove-each.js';

interface RmOptions extends SnapshotRemovalOptions {
  snapshot?: true;
}

export function registerRm(program: Command, context: Context): void {
  const command = program
    .command('rm')
    .description('End sandboxes, or remove snapshots with --snapshot.')
    .argument('<names...>', 'sandbox ids, or tags with --snapshot', nameArguments)
    .option('--snapshot', 'the names are tags of snapshots');
  addClientOptions(addSnapshotRemovalOptions(command)).action(
    async (names: string[], { snapshot, ...options }: RmOptions) => {
      if (snapshot !== true && (options.cascade === true || options.force === true)) {
        throw new UsageError('--cascade and --force are for snapshots: add --snapshot');
      }
      const how = snapshotRemoval(options);
      const client = await clientFor(command, context);
      const remove = (name: string) =>
        snapshot === true ? client.snapshots.delete(name, how) : client.sandboxes.delete(name);
      await removeEach(names, remove, context.io);
    },
  );
  withExample(command, 'bough rm $id\nbough rm --snapshot --cascade base');
}
