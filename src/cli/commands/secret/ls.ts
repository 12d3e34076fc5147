/** `bough secret ls`: all secrets, without their values. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { Secret } from '../../../contract/index.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { formatAge } from '../../format.js';
import { addListOptions, printRows } from '../../output.js';

const columns: readonly Column<Secret>[] = [
  { title: 'NAME', value: (one) => one.name },
  { title: 'HOSTS', value: (one) => one.hosts.join(', ') },
  { title: 'HEADER', value: (one) => `${one.header}: ${one.format}` },
  { title: 'AGE', value: (one) => formatAge(one.updated_at_unix), align: 'right' },
];

export function registerSecretLs(parent: Command, context: Context): void {
  const command = parent.command('ls').description('List secrets, without their values.');
  addListOptions(addClientOptions(command)).action(async () => {
    const rows = await (await clientFor(command, context)).secrets.list();
    printRows(command, context, { rows, columns, name: ({ name }) => name });
  });
  withExample(command, 'bough secret ls');
}
