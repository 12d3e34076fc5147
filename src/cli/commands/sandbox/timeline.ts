/** `bough sandbox timeline`: the checkpoints of a sandbox. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { TimelinePoint } from '../../../contract/index.js';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { formatAge, formatBytes, formatMs } from '../../format.js';
import { addListOptions, printRows } from '../../output.js';

const columns: readonly Column<TimelinePoint>[] = [
  { title: 'TAG', value: (one) => one.tag },
  { title: 'TIME', value: (one) => new Date(one.at_unix_ms).toISOString() },
  { title: 'AGE', value: (one) => formatAge(one.at_unix_ms / 1000), align: 'right' },
  { title: 'SIZE', value: (one) => formatBytes(one.bytes), align: 'right' },
  { title: 'PAUSE', value: (one) => formatMs(one.pause_ms), align: 'right' },
  { title: 'STATUS', value: (one) => (one.status === 'ready' && one.durable ? 'durable' : one.status) },
  { title: 'STAYS', value: (one) => (one.thinned ? 'as scheduled' : 'until removed') },
  { title: 'NOTE', value: (one) => (one.origin ? 'the sandbox came from here' : undefined) },
];

export function registerTimeline(parent: Command, context: Context): void {
  const command = parent
    .command('timeline')
    .description('List the checkpoints of a sandbox, oldest first.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument);
  addListOptions(addClientOptions(command)).action(async (id: string) => {
    const client = await clientFor(command, context);
    const rows = await client.sandboxes.timeline(id).list();
    printRows(command, context, { rows, columns, name: ({ tag }) => tag });
  });
  withExample(command, 'bough timeline $id');
}
