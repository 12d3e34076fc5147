/**
 * The forms of what a command answers: `table` for people, `json` and `yaml` for programs as the API gave it, `name` for scripts, one a line.
 */

import { Option, type Command } from 'commander';
import { formatTable, plainLine, type Column } from '../base/table.js';
import type { Io } from './io.js';
import { outputForms, sharedOptions, type OutputForm } from './shared-options.js';
import { yamlOf } from './yaml.js';

/** Where answers go: every context has it. */
interface To {
  readonly io: Io;
}

/** The options of commands that print data. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option(
      '-o, --output <form>',
      '`table` for people, `json` or `yaml` for programs, `name` for scripts',
    ).choices(outputForms),
  );
}

/** The same for lists, where `-q` is typed most. */
export function addListOptions(command: Command): Command {
  return addOutputOption(command.option('-q, --quiet', 'print nothing but names, as `-o name` does'));
}

/** The form that is asked for. */
export function outputForm(command: Command): OutputForm {
  const { output, quiet } = sharedOptions(command);
  return quiet === true ? 'name' : (output ?? 'table');
}

/** Rows, and how they are shown. */
export interface Listing<T> {
  readonly rows: readonly T[];
  readonly columns: readonly Column<T>[];
  /** What a command takes to mean that row. */
  readonly name: (row: T) => string;
}

/** Prints a list. */
export function printRows<T>(command: Command, { io }: To, { rows, columns, name }: Listing<T>): void {
  const form = outputForm(command);
  if (form === 'table') io.stdout(formatTable(rows, columns));
  else if (form === 'name') io.stdout(linesOf(rows.map((row) => plainLine(name(row)))));
  else printData(io, form, rows);
}

/** Prints one thing, as a table of its fields or of what `factsOf` makes of them. */
export function printFacts<T extends object>(
  command: Command,
  { io }: To,
  thing: T,
  name: string,
  factsOf: (thing: T) => object = (all) => all,
): void {
  const form = outputForm(command);
  if (form === 'name') io.stdout(linesOf([name]));
  else if (form !== 'table') printData(io, form, thing);
  else
    io.stdout(
      formatTable<[string, unknown]>(Object.entries(factsOf(thing)), [
        { title: 'FIELD', value: ([field]) => field },
        { title: 'VALUE', value: ([, value]) => factText(value) },
      ]),
    );
}

function factText(value: unknown): string {
  if (Array.isArray(value) && value.every((each) => typeof each !== 'object')) return value.join(', ');
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return String(value);
}

/**
 * Prints the outcome of a deed: `lines`, what scripts go on with, and `words` about it on stderr; or all of it in the form that is asked for.
 */
export function printResult(
  command: Command,
  { io }: To,
  result: unknown,
  { lines, words }: { lines: readonly string[]; words?: string },
): void {
  const form = outputForm(command);
  if (form === 'json' || form === 'yaml') printData(io, form, result);
  else io.stdout(linesOf(lines));
  if (form === 'table' && words !== undefined) io.stderr(`${words}\n`);
}

/** Prints what the API gave; false when a form for people is asked for. */
export function printAsData(command: Command, { io }: To, value: unknown): boolean {
  const form = outputForm(command);
  if (form !== 'json' && form !== 'yaml') return false;
  printData(io, form, value);
  return true;
}

function printData(io: Io, form: 'json' | 'yaml', value: unknown): void {
  // Through JSON, so that both forms have the same fields: what is undefined is not there.
  const text = JSON.stringify(value, null, 2);
  io.stdout(form === 'json' ? `${text}\n` : yamlOf(JSON.parse(text)));
}

const linesOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
