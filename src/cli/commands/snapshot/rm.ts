/** `bough snapshot rm`: remove snapshots. */

import type { Command } from 'commander';
import { nameArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import {
  removeSnapshots,
  snapshotRemoval,
  addSnapshotRemovalOptions,
  type SnapshotRemovalOptions,
} from '../../each.js';

export function registerSnapshotRm(parent: Command, context: Context): void {
  const command = parent
    .command('rm')
    .description('Remove snapshots; sandboxes that were started from them run on.')
    .argument('<tags...>', 'the snapshots', nameArguments);
  addClientOptions(addSnapshotRemovalOptions(command)).action(
    async (tags: string[], options: SnapshotRemovalOptions) => {
      const how = snapshotRemoval(options);
      await removeSnapshots(await clientFor(command, context), tags, how, context.io);
    },
  );
  withExample(command, 'bough snapshot rm --cascade base');
}
