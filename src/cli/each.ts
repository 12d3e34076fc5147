/**
 * What the commands on several things share: all names are tried, and the worst outcome is the command's.
 */

import type { Command } from 'commander';
import { BoughApiError, type Bough } from '../sdk/index.js';
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

/**
 * Does it to one after the other, says what failed and goes on. What failed only until others are done, it tries again after them. Throws
 * `CommandEnd` with the worst exit code.
 */
export async function forEach(
  names: readonly string[],
  deed: (name: string) => Promise<unknown>,
  io: Io,
  untilOthersAre: (error: unknown) => boolean = () => false,
): Promise<void> {
  let worst = 0;
  const tell = (name: string, error: unknown): void => {
    const { exitCode, words, hint } = describeFailure(error);
    io.stderr(`error: ${words ?? name}\n${hint === undefined ? '' : `hint: ${hint}\n`}`);
    worst = Math.max(worst, exitCode);
  };
  let left = names;
  for (;;) {
    const later = new Map<string, unknown>();
    for (const name of left) {
      try {
        await deed(name);
      } catch (error) {
        if (untilOthersAre(error)) later.set(name, error);
        else tell(name, error);
      }
    }
    if (later.size === left.length) {
      for (const name of names) if (later.has(name)) tell(name, later.get(name));
      break;
    }
    // Those that are named first were the last to go.
    left = [...later.keys()].reverse();
  }
  if (worst !== 0) throw new CommandEnd(worst);
}

/** In whatever order they are named: those on which no other builds go first. */
export function removeSnapshots(
  client: Bough,
  tags: readonly string[],
  how: ReturnType<typeof snapshotRemoval>,
  io: Io,
): Promise<void> {
  const inUse = (error: unknown): boolean =>
    error instanceof BoughApiError && error.code === 'snapshot_in_use';
  return forEach(tags, (tag) => client.snapshots.delete(tag, how), io, inUse);
}
