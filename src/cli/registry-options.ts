/** The options of commands that talk to a registry. */

import type { Command } from 'commander';
import type { CacheDirOptions } from './cache-dir.js';

export interface RegistryCommandOptions extends CacheDirOptions {
  readonly authfile?: string;
}

export function addRegistryOptions(command: Command): Command {
  return command.option('--authfile <file>', "registry passwords (default: Podman's and Docker's)");
}
