/** `bough sandbox fork`: branch and children in one call; prints the children's ids. */

import { Option, type Command } from 'commander';
import type { BranchMode } from '../../../contract/index.js';
import { nameArgument, sandboxArgument, wholeNumber } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withProgress } from '../../progress.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { CommandEnd, exitCodes } from '../../exit.js';
import { formatMs } from '../../format.js';
import {
  addLifetimeOptions,
  addRetentionOptions,
  lifetimeRequest,
  retentionRequest,
  type LifetimeOptions,
  type RetentionOptions,
} from '../../lifetime-options.js';

interface ForkOptions extends LifetimeOptions, RetentionOptions {
  count?: number;
  tag?: string;
  mode?: BranchMode;
  freeze?: boolean;
}

export function registerFork(parent: Command, context: Context): void {
  const command = parent
    .command('fork')
    .description('Branch a sandbox and start children from the capture; prints their ids.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .option('-n, --count <n>', 'how many children (default 1)', wholeNumber(1, 100))
    .option('--tag <tag>', 'name of the snapshot between (default: made up)', nameArgument)
    .addOption(
      new Option('--mode <mode>', 'how to capture memory (default live)').choices(['live', 'diff', 'full']),
    )
    .option('--freeze', "programs stand still until they are a child's own");
  addOutputOption(addClientOptions(addRetentionOptions(addLifetimeOptions(command)))).action(
    async (id: string, options: ForkOptions) => {
      const { count, tag, mode, freeze } = options;
      const client = await clientFor(command, context);
      const request = {
        ...{ count, tag, mode, freeze },
        ...lifetimeRequest(options),
        ...retentionRequest(options),
      };
      const result = await withProgress(context.io, `forking ${id}`, () =>
        client.sandboxes.fork(id, request),
      );
      const ids = result.children.flatMap((child) => ('sandbox' in child ? [child.sandbox.id] : []));
      const errors = result.children.flatMap((child) => ('error' in child ? [child.error] : []));
      printResult(command, context, result, {
        lines: ids,
        words: `snapshot "${result.snapshot.tag}", the sandbox paused for ${formatMs(result.pause_ms) ?? ''}`,
      });
      for (const error of errors) context.io.stderr(`error: a child did not start: ${error}\n`);
      if (errors.length > 0) throw new CommandEnd(exitCodes.failed);
    },
  );
  withExample(command, 'bough fork $id --count 3');
}
