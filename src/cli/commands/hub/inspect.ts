/** `bough hub inspect`: what a snapshot in a registry is, without fetching it. */

import type { Command } from 'commander';
import { compact } from '../../../base/index.js';
import { addCacheDirOption, cacheDirOf } from '../../cache-dir.js';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addHubKeysOption, hubKeysDirOf, type HubKeysOptions } from '../../hub-keys.js';
import { addOutputOption, printFacts } from '../../output.js';
import { addRegistryOptions, type RegistryCommandOptions } from '../../registry-options.js';

export function registerHubInspect(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('inspect')
    .description(
      'Show what a snapshot in a registry is, what it was made with, and whether its signature is trusted here.',
    )
    .argument('<reference>', 'such as registry.example/team/base:v1');
  addRegistryOptions(addHubKeysOption(addCacheDirOption(addOutputOption(command)))).action(
    async (reference: string, options: RegistryCommandOptions & HubKeysOptions) => {
      const keysDir = await hubKeysDirOf(options, io);
      const how = {
        reference,
        cacheDir: await cacheDirOf(options, io),
        ...compact({ authFile: options.authfile }),
      };
      const { annotations, digest, claimedBy, signedBy, ...sizes } = await providers.inspectSnapshot(
        keysDir,
        how,
      );
      const own = Object.entries(annotations).filter(([name]) => name.startsWith('dev.bough.'));
      const facts = {
        ...{ reference, digest, signed_by: claimedBy ?? 'nobody', trusted: signedBy !== undefined },
        ...Object.fromEntries(
          own.map(([name, value]) => [name.slice('dev.bough.'.length).replaceAll('-', '_'), value]),
        ),
        ...sizes,
      };
      printFacts(command, context, facts, digest);
    },
  );
  withExample(command, 'bough hub inspect registry.example/team/base:v1');
}
