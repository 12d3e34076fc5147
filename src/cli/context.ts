/** What every command shares: where the daemon is, and who asks. */

import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { Bough, type OpenSocket } from '../sdk/index.js';
import { UsageError } from './exit.js';
import type { Io } from './io.js';
import type { Providers } from './providers.js';
import { sharedOptions } from './shared-options.js';
import { certificatesWith, fetchTrusting } from './trust.js';

export const defaultUrl = 'http://127.0.0.1:8889';

export interface Context {
  readonly io: Io;
  readonly providers: Providers;
}

/** Options of commands that talk to the daemon; `withoutUrl` tells which one that is without --url. */
export function addClientOptions(command: Command, withoutUrl = `default ${defaultUrl}`): Command {
  return command
    .option('--url <url>', `the daemon (or BOUGH_URL; ${withoutUrl})`)
    .option('--token-file <file>', 'file with the token (or BOUGH_TOKEN_FILE, or the token in BOUGH_TOKEN)')
    .option('--tls-ca <file>', 'certificates to trust besides the usual ones (or BOUGH_TLS_CA)');
}

/** Opens WebSockets to a daemon whose certificate one of these vouches for; the usual ones if absent. */
export type OpenSocketTrusting = (ca: string[] | undefined) => OpenSocket;

/**
 * The client a command's options ask for, with a way to open WebSockets if it needs them. Throws `UsageError` for a bad URL, or a file of a
 * token or of certificates that is of no use.
 */
export async function clientFor(
  command: Command,
  { io }: Context,
  webSocket?: OpenSocketTrusting,
): Promise<Bough> {
  const url = sharedOptions(command).url ?? nonEmpty(io.env['BOUGH_URL']) ?? defaultUrl;
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
    throw new UsageError(`Not an http URL: ${JSON.stringify(url)}; it is like ${defaultUrl}`);
  }
  const caFile = sharedOptions(command).tlsCa ?? nonEmpty(io.env['BOUGH_TLS_CA']);
  const ca = caFile === undefined ? undefined : await certificatesWith(caFile);
  const token = await tokenFor(command, { io });
  return new Bough({ url, token, fetch: ca && (await fetchTrusting(ca)), webSocket: webSocket?.(ca) });
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

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
