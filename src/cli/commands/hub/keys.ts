/** `bough hub keys`: whose snapshots are believed here. */

import type { Command } from 'commander';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addHubKeysOption, hubKeysDirOf, type HubKeysOptions } from '../../hub-keys.js';
import { addListOptions, printRows } from '../../output.js';

export function registerHubKeys(parent: Command, context: Context): void {
  const command = parent.command('keys').description('List the keys whose snapshots are believed here.');
  addHubKeysOption(addListOptions(command)).action(async (options: HubKeysOptions) => {
    const rows = await context.providers.listHubKeys(await hubKeysDirOf(options, context.io));
    printRows(command, context, {
      rows,
      columns: [
        { title: 'FINGERPRINT', value: ({ fingerprint }) => fingerprint },
        { title: 'SIGNS', value: ({ signs }) => (signs ? 'here' : '') },
      ],
      name: ({ fingerprint }) => fingerprint,
    });
  });
  withExample(command, 'bough hub keys');
}
