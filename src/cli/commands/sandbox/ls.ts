/** `bough sandbox ls`: all sandboxes. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { Sandbox } from '../../../contract/index.js';
import { addClientOptions, addOutputOption, clientFor, printRows, type Context } from '../../context.js';
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
  const command = parent
    .command('ls')
    .description('List sandboxes.')
    .option('-q, --quiet', 'print nothing but their ids');
  addOutputOption(addClientOptions(command)).action(async ({ quiet }: { quiet?: true }) => {
    const sandboxes = await (await clientFor(command, context)).sandboxes.list();
    if (quiet === true) context.io.stdout(sandboxes.map(({ id }) => `${id}\n`).join(''));
    else printRows(command, context, sandboxes, columns);
  });
  withExample(command, 'bough ls -o json');
}
