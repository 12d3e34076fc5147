/** The option of commands that use the folder of built images without a daemon. */

import type { Command } from 'commander';
import { compact } from '../base/index.js';
import { daemonConfig } from './daemon-config.js';
import type { Io } from './io.js';

export interface CacheDirOptions {
  cacheDir?: string;
}

export function addCacheDirOption(command: Command): Command {
  return command.option('--cache-dir <dir>', "the daemon's --cache-dir (or BOUGH_CACHE_DIR)");
}

export async function cacheDirOf({ cacheDir }: CacheDirOptions, { env }: Io): Promise<string> {
  return (await daemonConfig(compact({ cacheDir }), env)).cacheDir;
}
