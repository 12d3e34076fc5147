/** `bough events`: what happens to sandboxes, as it happens. */

import type { Command } from 'commander';
import type { EventGap, SandboxEvent } from '../../contract/index.js';
import { sandboxArgument } from '../arguments.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { withExample } from '../example.js';
import { formatMs } from '../format.js';
import { addOutputOption } from '../output.js';
import { printItems } from '../stream-items.js';

export function registerEvents(program: Command, context: Context): void {
  const command = program
    .command('events')
    .description(
      'Follow what happens to sandboxes, or to one until its end; goes on by itself after a lost connection.',
    )
    .argument('[id]', 'the sandbox, by id or name; all if none is named', sandboxArgument)
    .option('--from <event>', 'begin after the event of that id, or with `oldest`; default: now');
  addOutputOption(addClientOptions(command)).action(
    async (id: string | undefined, { from }: { from?: string }) => {
      const client = await clientFor(command, context);
      const items = (signal: AbortSignal): AsyncIterable<SandboxEvent | EventGap> =>
        id === undefined
          ? client.events({ from }, { signal })
          : client.sandboxes.events(id, { from }, { signal });
      await printItems(command, context, items, { line: lineOf, name: (event) => event.id });
    },
  );
  withExample(command, 'bough events\nbough events $id --from oldest -o json');
}

function lineOf(event: SandboxEvent | EventGap): string {
  if (event.event === 'gap') return `(${event.missed ?? 'an unknown number of'} events are missing here)`;
  return `${new Date(event.at_unix_ms).toISOString()}  ${event.sandbox}  ${event.event.padEnd(11)}  ${aboutEvent(event)}`.trimEnd();
}

function aboutEvent(event: SandboxEvent): string {
  switch (event.event) {
    case 'created':
      return `from ${event.snapshot_tag}${event.name === undefined ? '' : ` as ${event.name}`}`;
    case 'branched':
      return `to ${event.snapshot_tag}, ${event.mode}, paused ${formatMs(event.pause_ms) ?? 'unknown'}`;
    case 'rolled_back':
      return `to ${event.snapshot_tag}${event.kept_tag === undefined ? '' : `, kept as ${event.kept_tag}`}`;
    case 'warned':
      return event.warning;
    case 'failed':
      return event.reason;
    case 'ended':
      return `${event.reason}${event.snapshot_tag === undefined ? '' : `, snapshot ${event.snapshot_tag}`}`;
    case 'running':
    case 'paused':
      return '';
  }
}
