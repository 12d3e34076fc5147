/** `bough sandbox stats`: what sandboxes use of this host. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { SandboxStats } from '../../../contract/index.js';
import { sandboxArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { formatBytes, formatMs } from '../../format.js';
import { addListOptions, printRows } from '../../output.js';
import { addSelectorOption, selectedSandboxes, type SelectorOptions } from '../../selected.js';

type Row = SandboxStats & { readonly id: string; readonly name?: string | undefined };

const columns: readonly Column<Row>[] = [
  { title: 'ID', value: (one) => one.id },
  { title: 'NAME', value: (one) => one.name },
  { title: 'CPU', value: (one) => formatMs(one.cpu_time_ms), align: 'right' },
  { title: 'MEMORY', value: (one) => formatBytes(one.memory_unique_bytes), align: 'right' },
  { title: 'SHARED', value: (one) => formatBytes(one.memory_shared_bytes), align: 'right' },
  { title: 'PSS', value: (one) => formatBytes(one.memory_pss_bytes), align: 'right' },
  { title: 'DISK', value: (one) => formatBytes(one.disk_unique_bytes), align: 'right' },
  { title: 'SHARED DISK', value: (one) => formatBytes(one.disk_shared_bytes), align: 'right' },
];

export function registerStats(parent: Command, context: Context): void {
  const command = parent
    .command('stats')
    .description(
      'Show processor time, memory and disk of sandboxes: what is their own, and what others use too.',
    )
    .argument('[ids...]', 'the sandboxes, by id or name; all that run if none is named', sandboxArguments);
  addSelectorOption(addListOptions(addClientOptions(command))).action(
    async (ids: string[], options: SelectorOptions) => {
      const client = await clientFor(command, context);
      const sandboxes = await selectedSandboxes(client, ids, options);
      // Of those that were not named, some have no VM to ask.
      const asked = ids.length > 0 ? sandboxes : sandboxes.filter(({ state }) => hasVm.has(state));
      const rows = await Promise.all(
        asked.map(async ({ id, name }): Promise<Row> => {
          const stats = await client.transport.call('sandboxStats', { params: { id } });
          return { id, name, ...stats };
        }),
      );
      printRows(command, context, { rows, columns, name: ({ id }) => id });
    },
  );
  withExample(command, 'bough stats\nbough stats $id -o json');
}

const hasVm = new Set<string | undefined>(['running', 'paused']);
