/** Items of an endless answer as they come: a line for people, JSON a line, or YAML documents. */

import type { Command } from 'commander';
import { plainLine } from '../base/table.js';
import type { Context } from './context.js';
import { Interrupts } from './interrupts.js';
import { outputForm } from './output.js';
import { yamlOf } from './yaml.js';

export interface Shown<T> {
  readonly line: (item: T) => string;
  readonly name: (item: T) => string;
}

/** Prints until they end, nobody reads, or an interrupt comes, which ends the command with 128 + n. */
export async function printItems<T>(
  command: Command,
  { io }: Context,
  itemsUntil: (signal: AbortSignal) => AsyncIterable<T>,
  { line, name }: Shown<T>,
): Promise<void> {
  const asText = {
    table: (item: T) => `${plainLine(line(item))}\n`,
    name: (item: T) => `${plainLine(name(item))}\n`,
    json: (item: T) => `${JSON.stringify(item)}\n`,
    yaml: (item: T) => `---\n${yamlOf(item)}`,
  }[outputForm(command)];
  using interrupts = new Interrupts(io);
  for await (const item of itemsUntil(interrupts.signal)) await io.write('stdout', Buffer.from(asText(item)));
}
