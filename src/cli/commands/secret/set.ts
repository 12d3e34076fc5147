/** `bough secret set`: makes a secret, or replaces it. Its value is never an argument: those can be read by every user of a host. */

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { messageOf } from '../../../base/index.js';
import { nameArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { addOutputOption, printResult } from '../../output.js';

const MAX_VALUE_BYTES = 16_384;

interface SetOptions {
  host: string[];
  header?: string;
  format?: string;
  fromEnv?: string;
  fromFile?: string;
}

export function registerSecretSet(parent: Command, context: Context): void {
  const command = parent
    .command('set')
    .description(
      'Make a secret, or replace it, for requests of sandboxes whose policy names it; its value is read from standard input.',
    )
    .argument('<name>', 'what policies call it by', nameArgument)
    .requiredOption(
      '--host <name>',
      'where it is sent: a name or *.name, with :port unless that is 443; may be repeated',
      (text: string, earlier: string[] | undefined) => [...(earlier ?? []), text],
    )
    .option('--header <header>', 'the header that is set (default Authorization)')
    .option('--format <text>', 'what it says, with {} for the value (default "Bearer {}")')
    .option('--from-env <variable>', 'take the value from this variable')
    .option('--from-file <file>', 'take the value from this file');
  addOutputOption(addClientOptions(command)).action(async (name: string, options: SetOptions) => {
    const { host: hosts, header, format } = options;
    const value = withoutLineEnd(await valueOf(options, context));
    const { secrets } = await clientFor(command, context);
    const secret = await secrets.set(name, { value, hosts, header, format });
    printResult(command, context, secret, { lines: [secret.name] });
  });
  withExample(
    command,
    'bough secret set search --host api.example.com < key.txt\nbough secret set search --host api.example.com --header X-Api-Key --format {} --from-env SEARCH_KEY',
  );
}

function valueOf({ fromEnv, fromFile }: SetOptions, { io }: Context): string | Promise<string> {
  if (fromEnv !== undefined && fromFile !== undefined)
    throw new UsageError('The value comes from one place: --from-env or --from-file');
  if (fromFile !== undefined)
    return readFile(fromFile, 'utf8').catch((cause: unknown) => {
      throw new UsageError(`Cannot read the value: ${messageOf(cause)}`, { cause });
    });
  if (fromEnv === undefined) return io.readStdin(MAX_VALUE_BYTES);
  const value = io.env[fromEnv];
  if (value === undefined || value === '') throw new UsageError(`No variable is named ${fromEnv}`);
  return value;
}

/** Files and `echo` have one at their end. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}
