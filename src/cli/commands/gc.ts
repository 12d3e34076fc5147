/** `bough gc`: what the collector removes and keeps, and why. */

import type { Command } from 'commander';
import { formatTable, type Column } from '../../base/table.js';
import type { GcItem } from '../../contract/index.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { addOutputOption, printResult } from '../output.js';
import { withExample } from '../example.js';
import { formatBytes } from '../format.js';

type Row = GcItem & { readonly verdict: string };

const columns: readonly Column<Row>[] = [
  { title: 'ACTION', value: (row) => row.verdict },
  { title: 'WHAT', value: (row) => row.what.replace('_', ' ') },
  { title: 'NAME', value: (row) => row.name },
  { title: 'FREES', value: (row) => formatBytes(row.bytes), align: 'right' },
  { title: 'WHY', value: (row) => row.why },
];

export function registerGc(program: Command, context: Context): void {
  const command = program
    .command('gc')
    .description(
      'Remove what has expired and what nothing owns, and say why; the daemon does it every minute.',
    )
    .option('--dry-run', 'only say what would be removed');
  addOutputOption(addClientOptions(command)).action(async ({ dryRun }: { dryRun?: true }) => {
    const client = await clientFor(command, context);
    const result = await client.gc({ dry_run: dryRun === true });
    const rows: Row[] = [
      ...result.removed.map((item) => ({ ...item, verdict: result.dry_run ? 'would remove' : 'removed' })),
      ...result.kept.map((item) => ({ ...item, verdict: 'kept' })),
    ];
    const freed = formatBytes(result.freed_bytes) ?? '';
    printResult(command, context, result, {
      lines: rows.length === 0 ? [] : [formatTable(rows, columns).trimEnd()],
      words:
        result.removed.length === 0
          ? 'nothing to remove'
          : `${result.dry_run ? 'would free' : 'freed'} ${freed}`,
    });
  });
  withExample(command, 'bough gc --dry-run');
}
