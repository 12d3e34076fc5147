/** `bough snapshot pull`, or `bough pull`: a snapshot of a registry. */

import type { Command } from 'commander';
import { compact } from '../../../base/index.js';
import { BoughApiError } from '../../../sdk/index.js';
import { nameArgument } from '../../arguments.js';
import { addCacheDirOption, cacheDirOf } from '../../cache-dir.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { Interrupts } from '../../interrupts.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';
import { rebuiltWords } from './import.js';
import { addRegistryOptions, type RegistryCommandOptions } from '../../registry-options.js';

interface PullOptions extends RegistryCommandOptions {
  readonly tag?: string;
  readonly allowUnsigned?: true;
}

export function registerPull(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('pull')
    .description(
      'Fetch a snapshot that `bough push` sent to a registry, and take it in as `bough import` does. What a break left is not fetched again.',
    )
    .argument('<reference>', 'such as registry.example/team/base:v1')
    .option('--tag <tag>', 'what to call it (default: as it was called where it was made)', nameArgument)
    .option('--allow-unsigned', 'take it although nobody who is trusted here has signed it');
  addRegistryOptions(addCacheDirOption(addOutputOption(addClientOptions(command)))).action(
    async (reference: string, options: PullOptions) => {
      const { snapshots } = await clientFor(command, context);
      using interrupts = new Interrupts(io);
      const { signal } = interrupts;
      const allowUnsigned = options.allowUnsigned === true;
      const trustedKeys = allowUnsigned ? undefined : await snapshots.trustedKeys({ signal });
      const how = {
        reference,
        cacheDir: await cacheDirOf(options, io),
        signal,
        ...compact({ authFile: options.authfile, trustedKeys }),
      };
      await using pulled = await withProgress(io, `fetching ${reference}`, ({ moved }) =>
        providers.pullSnapshot({ ...how, onArrival: moved }),
      );
      const taking = {
        ...compact({ tag: options.tag }),
        allowUnsigned,
        signal,
      };
      const made = await withProgress(io, 'taking it in', ({ counted }) =>
        snapshots.import(
          counted(pulled.bytes, () => pulled.sizeBytes),
          taking,
        ),
      ).catch(async (error: unknown) => {
        // What is damaged here would be found to be here by the next pull.
        if (error instanceof BoughApiError && error.code === 'bad_snapshot_archive') await pulled.forget();
        throw error;
      });
      await pulled.forget();
      printResult(command, context, made, { lines: [made.tag], ...compact({ words: rebuiltWords(made) }) });
    },
  );
  withExample(command, 'bough pull registry.example/team/base:v1\nbough spawn base');
}
