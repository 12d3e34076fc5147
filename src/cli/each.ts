/**
 * What the commands on several things share: all names are tried, and the worst outcome is the command's.
 */

import type { Command } from 'commander';
import { CommandEnd, describeFailure, UsageError } from './exit.js';
import type { Io } from './io.js';

export interface SnapshotRemovalOptions {
  cascade?: boolean;
  force?: boolean;
}

export function addSnapshotRemovalOptions(command: Command): Command {
  return command
    .option('--cascade', 'remove the snapshots that build on it too')
    .option('--force', 'remove it even when others build on it');
}

/** The request's part of `addSnapshotRemovalOptions`. Throws `UsageError` for both. */
export function snapshotRemoval({ cascade = false, force = false }: SnapshotRemovalOptions): {
  cascade: boolean;
  force: boolean;
} {
  if (cascade && force) throw new UsageError('--cascade and --force exclude each other');
  return { cascade, force };
}

/** Does it to one after the other, says what failed and goes on. Throws `CommandEnd` with the worst exit code. */
export async function forEach(
  names: readonly string[],
  deed: (name: string) => Promise<unknown>,
  io: Io,
): Promise<void> {
  let worst = 0;
  for (const name of names) {
    try {
      await deed(name);
    } catch (error) {
      const { exitCode, words, hint } = describeFailure(error);
      io.stderr(`error: ${words ?? name}\n${hint === undefined ? '' : `hint: ${hint}\n`}`);
      worst = Math.max(worst, exitCode);
    }
  }
  if (worst !== 0) throw new CommandEnd(worst);
}
