/**
 * What every command shares: where the daemon is, who asks, and in which form to answer.
 *
 * The shared options may stand before the command or after it; after wins.
 */

import { Option, type Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { formatTable, type Column } from '../base/table.js';
import { Bough } from '../sdk/index.js';
import { UsageError } from './exit.js';
import type { Io } from './io.js';
import type { Providers } from './providers.js';

export const defaultUrl = 'http://127.0.0.1:8889';

export interface Context {
  readonly io: Io;
  readonly providers: Providers;
}

interface SharedOptions {
  url?: string;
  tokenFile?: string;
  output?: 'table' | 'json';
}

/** Options of commands that talk to the daemon; `withoutUrl` tells which one that is without --url. */
export function addClientOptions(command: Command, withoutUrl = `default ${defaultUrl}`): Command {
  return command
    .option('--url <url>', `the daemon (or BOUGH_URL; ${withoutUrl})`)
    .option('--token-file <file>', 'file with the token (or BOUGH_TOKEN_FILE, or the token in BOUGH_TOKEN)');
}

/** The option of commands that print data. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <form>', '`table` for people, `json` for programs').choices(['table', 'json']),
  );
}

/** The client a command's options ask for. Throws `UsageError` for a bad URL or token file. */
export async function clientFor(command: Command, { io }: Context): Promise<Bough> {
  const url = sharedOptions(command).url ?? nonEmpty(io.env['BOUGH_URL']) ?? defaultUrl;
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
    throw new UsageError(`Not an http URL: ${JSON.stringify(url)}`);
  }
  return new Bough({ url, token: await tokenFor(command, { io }) });
}

/**
 * The token a command's options or its environment give. Throws `UsageError` for a file that cannot be read.
 */
export async function tokenFor(
  command: Command,
  { io: { env } }: Pick<Context, 'io'>,
): Promise<string | undefined> {
  const path = sharedOptions(command).tokenFile ?? nonEmpty(env['BOUGH_TOKEN_FILE']);
  if (path === undefined) return nonEmpty(env['BOUGH_TOKEN']);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new UsageError(
      `Cannot read the token file ${path}: ${(error as NodeJS.ErrnoException).code ?? 'failed'}`,
    );
  });
  return text.trim();
}

/** Prints rows as a table, or as the JSON they came as. */
export function printRows<T>(
  command: Command,
  { io }: Context,
  rows: readonly T[],
  columns: readonly Column<T>[],
): void {
  if (wantsJson(command)) printJson(io, rows);
  else io.stdout(formatTable(rows, columns));
}

/** Prints one thing as a table of its fields, or as the JSON it came as. */
export function printFacts(command: Command, { io }: Context, thing: object): void {
  if (wantsJson(command)) {
    printJson(io, thing);
    return;
  }
  io.stdout(
    formatTable<[string, unknown]>(Object.entries(thing), [
      { title: 'FIELD', value: ([name]) => name },
      { title: 'VALUE', value: ([, value]) => factText(value) },
    ]),
  );
}

function factText(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return String(value);
}

/**
 * Prints one result: as JSON when asked for, otherwise `text`, one value a line, with `words` beside it on
 * stderr.
 */
export function printResult(
  command: Command,
  { io }: Context,
  result: unknown,
  plain: { lines: readonly string[]; words?: string },
): void {
  if (wantsJson(command)) {
    printJson(io, result);
    return;
  }
  io.stdout(plain.lines.map((line) => `${line}\n`).join(''));
  if (plain.words !== undefined) io.stderr(`${plain.words}\n`);
}

export function wantsJson(command: Command): boolean {
  return sharedOptions(command).output === 'json';
}

export function printJson(io: Io, value: unknown): void {
  io.stdout(`${JSON.stringify(value, null, 2)}\n`);
}

function sharedOptions(command: Command): SharedOptions {
  const levels: Command[] = [];
  for (let level: Command | null = command; level !== null; level = level.parent) levels.unshift(level);
  return Object.assign({}, ...levels.map((level) => level.opts<SharedOptions>())) as SharedOptions;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
