/** `bough process ls`, or `bough ps`: kept processes of one sandbox, or of all that run. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import type { Process } from '../../../contract/index.js';
import { sandboxArguments } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { formatAge } from '../../format.js';
import { addListOptions, printRows } from '../../output.js';
import { addSelectorOption, selectedSandboxes, type SelectorOptions } from '../../selected.js';

type Row = Process & { readonly sandbox: string };

const columns: readonly Column<Row>[] = [
  { title: 'SANDBOX', value: (one) => one.sandbox },
  { title: 'PID', value: (one) => one.pid, align: 'right' },
  { title: 'TAG', value: (one) => one.tag },
  { title: 'STATUS', value: statusOf },
  { title: 'AGE', value: (one) => formatAge(one.started_at_unix), align: 'right' },
  { title: 'COMMAND', value: (one) => commandLine(one.args) },
];
const SHOWN_CHARACTERS = 60;

export function registerProcessLs(parent: Command, context: Context, name = 'ls'): void {
  const command = parent
    .command(name)
    .description('List programs that were started: those that run, and the last that ended, of exec too.')
    .argument('[ids...]', 'the sandboxes, by id or name; all that run if none is named', sandboxArguments);
  addSelectorOption(addListOptions(addClientOptions(command))).action(
    async (ids: string[], options: SelectorOptions) => {
      const client = await clientFor(command, context);
      const sandboxes = await selectedSandboxes(client, ids, options);
      const asked = ids.length > 0 ? sandboxes : sandboxes.filter(({ state }) => state === 'running');
      const lists = await Promise.all(
        asked.map(async ({ id }) =>
          (await client.sandboxes.processes(id).list()).map((process): Row => ({ sandbox: id, ...process })),
        ),
      );
      printRows(command, context, { rows: lists.flat(), columns, name: ({ pid }) => String(pid) });
    },
  );
  withExample(command, 'bough ps $id');
}

function statusOf({ running, exit_code: exitCode, signal, timed_out: timedOut }: Process): string {
  if (running) return 'running';
  if (timedOut === true) return 'timed out';
  return signal ?? `exit ${exitCode ?? 'unknown'}`;
}

function commandLine(args: readonly string[]): string {
  const line = args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ');
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS - 1)}…` : line;
}
