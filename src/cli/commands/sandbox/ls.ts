/** `bough sandbox ls`: all sandboxes. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { Sandbox } from '../../../contract/index.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addListOptions, printRows } from '../../output.js';
import { addSelectorOption, type SelectorOptions } from '../../selected.js';
import { withExample } from '../../example.js';
import { formatAge, formatDuration, formatUntil } from '../../format.js';

const columns: readonly Column<Sandbox>[] = [
  { title: 'ID', value: (one) => one.id },
  { title: 'NAME', value: (one) => one.name },
  { title: 'STATE', value: (one) => one.state },
  { title: 'SNAPSHOT', value: (one) => one.snapshot_tag },
  { title: 'BRANCHES', value: (one) => one.branch_count, align: 'right' },
  { title: 'PID', value: (one) => one.pid ?? undefined, align: 'right' },
  { title: 'AGE', value: (one) => formatAge(one.created_at_unix), align: 'right' },
  { title: 'END', value: endOf },
  { title: 'NOTE', value: (one) => one.warning ?? one.state_reason },
];

/** `in 42m`, `idle 10m`, or whichever comes first; with what remains of it. */
function endOf({ end_at_unix: atUnix, idle_timeout_secs: idle, on_end: onEnd }: Sandbox): string | undefined {
  const ends = [formatUntil(atUnix), idle === undefined ? undefined : `idle ${formatDuration(idle)}`];
  const text = ends.filter((end) => end !== undefined).join(' or ');
  if (text === '') return undefined;
  return onEnd === 'snapshot' ? `${text}, snapshot` : text;
}

export function registerSandboxLs(parent: Command, context: Context): void {
  const command = parent.command('ls').description('List sandboxes.');
  addSelectorOption(addListOptions(addClientOptions(command))).action(
    async ({ selector }: SelectorOptions) => {
      const client = await clientFor(command, context);
      const rows = await client.transport.call('listSandboxes', { query: { selector } });
      printRows(command, context, { rows, columns, name: ({ id }) => id });
    },
  );
  withExample(command, 'bough ls -o json\nbough ls -q --selector job=tests,stage!=done');
}
