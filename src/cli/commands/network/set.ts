/** `bough network set`: replaces a sandbox's policy. */

import type { Command } from 'commander';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { printNetwork } from '../../network-facts.js';
import { addNetworkOptions, networkPolicy, type NetworkOptions } from '../../network-options.js';
import { addOutputOption } from '../../output.js';

export function registerNetworkSet(parent: Command, context: Context): void {
  const command = parent
    .command('set')
    .description(
      "Replace a running sandbox's network policy as a whole; open connections that the new one refuses are cut.",
    )
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument);
  addOutputOption(addClientOptions(addNetworkOptions(command))).action(
    async (id: string, options: NetworkOptions) => {
      const body = networkPolicy(options);
      if (body === undefined) throw new UsageError('No policy: give --network, --allow, --deny or --preset');
      const { transport } = await clientFor(command, context);
      printNetwork(command, context, id, await transport.call('setNetwork', { params: { id }, body }));
    },
  );
  withExample(
    command,
    'bough network set $id --preset python --deny 10.0.0.0/8 --allow api.example.com:443\nbough network set $id --network off',
  );
}
