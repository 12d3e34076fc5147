/** `bough hub trust`: believe what another host has signed. */

import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { messageOf } from '../../../base/index.js';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { addHubKeysOption, hubKeysDirOf, type HubKeysOptions } from '../../hub-keys.js';
import { addOutputOption, printResult } from '../../output.js';

/** A public key in PEM has some hundred bytes. */
const MAX_PEM_BYTES = 4096;

export function registerHubTrust(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('trust')
    .description('Believe the snapshots that a key has signed. The daemon need not be told.')
    .argument('<file>', 'a public key, as `bough hub keygen` prints it; - for standard input');
  addHubKeysOption(addOutputOption(command)).action(async (path: string, options: HubKeysOptions) => {
    const pem = path === '-' ? await io.readStdin(MAX_PEM_BYTES) : await textOf(path);
    const key = await providers.trustHubKey(await hubKeysDirOf(options, io), pem);
    printResult(command, context, key, { lines: [key.fingerprint] });
  });
  withExample(command, 'bough hub trust host-a.pem');
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw new UsageError(`Cannot read ${path}: ${messageOf(error)}`);
  });
}
