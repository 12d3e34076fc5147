/** `bough hub keygen`: the key that signs what leaves this host. */

import type { Command } from 'commander';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addHubKeysOption, hubKeysDirOf, type HubKeysOptions } from '../../hub-keys.js';
import { addOutputOption, printResult } from '../../output.js';

export function registerHubKeygen(parent: Command, context: Context): void {
  const command = parent
    .command('keygen')
    .description(
      'Make the key that signs the snapshots of this host, and print its public half, for `bough hub trust` elsewhere.',
    );
  addHubKeysOption(addOutputOption(command)).action(async (options: HubKeysOptions) => {
    const key = await context.providers.generateHubKey(await hubKeysDirOf(options, context.io));
    printResult(command, context, key, {
      lines: [key.pem.trim()],
      words: `Its fingerprint, for people to compare: ${key.fingerprint}`,
    });
  });
  withExample(command, 'bough hub keygen > host-a.pem');
}
