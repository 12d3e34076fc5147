/** `bough snapshot ls`, or `bough snapshots`: all of them. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { Snapshot } from '../../../contract/index.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addListOptions, printRows } from '../../output.js';
import { withExample } from '../../example.js';
import { formatAge, formatBytes, formatMs, formatUntil } from '../../format.js';

const columns: readonly Column<Snapshot>[] = [
  { title: 'TAG', value: (one) => one.tag },
  {
    title: 'STATUS',
    value: (one) => (one.status === 'ready' && one.durable === true ? 'durable' : one.status),
  },
  { title: 'MODE', value: (one) => one.mode },
  { title: 'PAUSE', value: (one) => formatMs(one.pause_ms), align: 'right' },
  { title: 'MEMORY', value: (one) => formatBytes(one.memory_physical_bytes), align: 'right' },
  { title: 'PARENT', value: (one) => one.parent_tag },
  { title: 'AGE', value: (one) => formatAge(one.created_at_unix), align: 'right' },
  { title: 'END', value: endOf },
  { title: 'NOTE', value: (one) => one.warning },
];

function endOf({ expires_at_unix: atUnix, keep_last: keepLast }: Snapshot): string | undefined {
  const ends = [formatUntil(atUnix), keepLast === undefined ? undefined : `after ${keepLast} newer`];
  const text = ends.filter((end) => end !== undefined).join(' or ');
  return text === '' ? undefined : text;
}

export function registerSnapshotLs(parent: Command, context: Context, name = 'ls'): void {
  const command = parent.command(name).description('List snapshots.');
  addListOptions(addClientOptions(command)).action(async () => {
    const rows = await (await clientFor(command, context)).snapshots.list();
    printRows(command, context, { rows, columns, name: ({ tag }) => tag });
  });
  withExample(command, 'bough snapshot ls');
}
