/** `bough network log`: what became of a sandbox's connections, and of the names it asked for. */

import type { Command } from 'commander';
import type { NetworkLogLine } from '../../../sdk/index.js';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { formatBytes } from '../../format.js';
import { addOutputOption } from '../../output.js';
import { printItems } from '../../stream-items.js';

export function registerNetworkLog(parent: Command, context: Context): void {
  const command = parent
    .command('log')
    .description('Show what became of connections and of the names that were asked for, oldest first.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .option('-f, --follow', 'go on with what comes');
  addOutputOption(addClientOptions(command)).action(async (id: string, { follow }: { follow?: true }) => {
    const network = (await clientFor(command, context)).sandboxes.network(id);
    const items = (signal: AbortSignal): AsyncIterable<NetworkLogLine> => network.log({ follow, signal });
    await printItems(command, context, items, { line: lineOf, name: targetOf });
  });
  withExample(command, 'bough network log -f $id');
}

function targetOf({ name, address, port }: NetworkLogLine): string {
  return `${name ?? address ?? '-'}${port === undefined ? '' : `:${port}`}`;
}

function lineOf(line: NetworkLogLine): string {
  const { at, kind, verdict, rule, why, bytes_up: up, bytes_down: down } = line;
  const bytes =
    up === undefined ? undefined : `${formatBytes(up) ?? ''} up, ${formatBytes(down) ?? '0 B'} down`;
  const facts = [verdict, why, rule === undefined ? undefined : `rule ${rule}`, bytes];
  const told = facts.filter((fact) => fact !== undefined && fact !== '').join(', ');
  return `${at}  ${kind.padEnd(6)}  ${targetOf(line)}  ${told}`.trimEnd();
}
