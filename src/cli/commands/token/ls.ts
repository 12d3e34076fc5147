/** `bough token ls`: whose tokens there are. */
import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { StoredToken } from '../../../daemon/auth/tokens-file.js';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { formatAge } from '../../format.js';
import { addListOptions, printRows } from '../../output.js';
import { addTokensFileOptions, tokensFileOf, type TokensFileOptions } from '../../tokens-file.js';

type Shown = Omit<StoredToken, 'sha256'>;

const columns: readonly Column<Shown>[] = [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'SCOPE', value: ({ scope }) => scope },
  { title: 'AGE', value: ({ created_at_unix: at }) => formatAge(at), align: 'right' },
];

export function registerTokenLs(parent: Command, context: Context): void {
  const command = parent.command('ls').description('List tokens, by name. Needs no daemon.');
  addTokensFileOptions(addListOptions(command)).action(async (options: TokensFileOptions) => {
    const { readTokensFile } = await import('../../../daemon/auth/tokens-file.js');
    const tokens = (await readTokensFile(await tokensFileOf(options, context.io))) ?? [];
    const rows = tokens.map(({ name, scope, created_at_unix }): Shown => ({ name, scope, created_at_unix }));
    printRows(command, context, { rows, columns, name: ({ name }) => name });
  });
  withExample(command, 'bough token ls');
}
