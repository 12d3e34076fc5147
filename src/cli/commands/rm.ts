/**
 * `bough rm`: end sandboxes, or with --snapshot delete snapshots. Which of the two is said, never guessed: an id
 * and a tag may look alike.
 */

import type { Command } from 'commander';
import { nameArguments } from '../arguments.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { withExample } from '../example.js';
import { CommandEnd, UsageError, describeFailure } from '../exit.js';

interface RmOptions {
  snapshot?: true;
  cascade?: boolean;
  force?: boolean;
}

export function registerRm(program: Command, context: Context): void {
  const command = program
    .command('rm')
    .description('End sandboxes, or delete snapshots with --snapshot.')
    .argument('<names...>', 'sandbox ids, or tags with --snapshot', nameArguments)
    .option('--snapshot', 'the names are tags of snapshots')
    .option('--cascade', 'delete the snapshots that build on it too')
    .option('--force', 'delete it even when others build on it');
  addClientOptions(command).action(async (names: string[], { snapshot, cascade, force }: RmOptions) => {
    if (snapshot !== true && (cascade === true || force === true)) {
      throw new UsageError('--cascade and --force are for snapshots: add --snapshot');
    }
    if (cascade === true && force === true) throw new UsageError('--cascade and --force exclude each other');
    const client = await clientFor(command, context);
    const remove = (name: string) =>
      snapshot === true
        ? client.snapshots.delete(name, { cascade: cascade === true, force: force === true })
        : client.sandboxes.delete(name);

    let worst = 0;
    for (const name of names) {
      try {
        await remove(name);
      } catch (error) {
        const { exitCode, words, hint } = describeFailure(error);
        context.io.stderr(`error: ${words ?? name}\n${hint === undefined ? '' : `hint: ${hint}\n`}`);
        worst = Math.max(worst, exitCode);
      }
    }
    if (worst !== 0) throw new CommandEnd(worst);
  });
  withExample(command, 'bough rm $id\nbough rm --snapshot --cascade base');
}
