/** Which tokens file a command is about: the daemon need not run, so nobody but the options and the environment can say. */
import type { Command } from 'commander';
import { compact } from '../base/index.js';
import { settings } from '../daemon/settings.js';
import { daemonConfig } from './daemon-config.js';
import type { Io } from './io.js';

export interface TokensFileOptions {
  readonly tokensFile?: string;
  readonly stateDir?: string;
}

export function addTokensFileOptions(command: Command): Command {
  const { tokensFile, stateDir } = settings;
  return command
    .option(`${tokensFile.flag} <file>`, `the daemon's ${tokensFile.flag} (or ${tokensFile.env})`)
    .option(`${stateDir.flag} <dir>`, `the daemon's ${stateDir.flag} (or ${stateDir.env})`);
}

export async function tokensFileOf(
  { tokensFile, stateDir }: TokensFileOptions,
  { env }: Io,
): Promise<string> {
  return (await daemonConfig(compact({ tokensFile, stateDir }), env)).tokensFile;
}
