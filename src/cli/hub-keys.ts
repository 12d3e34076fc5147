/** The option of commands that use the keys of snapshots without a daemon. */

import type { Command } from 'commander';
import { compact } from '../base/index.js';
import { daemonConfig } from './daemon-config.js';
import type { Io } from './io.js';

export interface HubKeysOptions {
  hubKeys?: string;
}

export function addHubKeysOption(command: Command): Command {
  return command.option('--hub-keys <dir>', "the daemon's --hub-keys (or BOUGH_HUB_KEYS)");
}

export async function hubKeysDirOf({ hubKeys }: HubKeysOptions, { env }: Io): Promise<string> {
  return (await daemonConfig(compact({ hubKeys }), env)).hubKeysDir;
}
