/** `bough sandbox checkpoint`: make a point to go back to, once or at intervals; prints its tag, or what is scheduled. */

import type { Command } from 'commander';
import type { Checkpoints } from '../../../contract/index.js';
import { duration, nameArgument, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { formatBytes } from '../../format.js';
import { byteCount, keepArgument, keepText, type KeepTier } from '../../keep-argument.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';

interface CheckpointOptions {
  tag?: string;
  every?: number;
  keep?: KeepTier[];
  budget?: number;
  off?: true;
}

export function registerCheckpoint(parent: Command, context: Context): void {
  const command = parent
    .command('checkpoint')
    .description('Capture a running sandbox as a point that `bough undo` goes back to; prints its tag.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .option('--tag <tag>', 'name of the checkpoint (default: made up)', nameArgument)
    .option('--every <duration>', 'take one at every interval from now on, such as 1s', duration)
    .option(
      '--keep <tiers>',
      'which of those stay, by age (default: 60s:all,1h:1/min,1d:1/h); of older ones none does',
      keepArgument,
    )
    .option(
      '--budget <bytes>',
      'what all of those may take, such as 4GiB; beyond it the oldest go',
      byteCount,
    )
    .option('--off', 'take none by itself any more');
  addOutputOption(addClientOptions(command)).action(async (id: string, options: CheckpointOptions) => {
    requireOneUse(options);
    const { tag, every, keep, budget, off } = options;
    const { sandboxes } = await clientFor(command, context);
    const timeline = sandboxes.timeline(id);
    if (off) return timeline.removeSchedule();
    if (every !== undefined) {
      const set = await timeline.setSchedule({ every_secs: every, keep, max_bytes: budget });
      printResult(command, context, set, { lines: [scheduleText(set)] });
      return;
    }
    const made = await withProgress(context.io, `taking a checkpoint of ${id}`, () =>
      timeline.checkpoint({ tag }),
    );
    printResult(command, context, made, { lines: [made.tag] });
  });
  withExample(
    command,
    'bough checkpoint $id\nbough checkpoint $id --every 1s --keep 60s:all,1h:1/min,1d:1/h\nbough checkpoint $id --off',
  );
}

function requireOneUse({ tag, every, keep, budget, off }: CheckpointOptions): void {
  const uses = [tag, every, off].filter((given) => given !== undefined);
  if (uses.length > 1) throw new UsageError('Give one of --tag, --every and --off');
  if (every === undefined && (keep !== undefined || budget !== undefined))
    throw new UsageError('--keep and --budget are for checkpoints that are taken --every so often');
}

function scheduleText({ schedule }: Checkpoints): string {
  if (schedule === null) return 'none is taken by itself';
  const { every_secs: every, keep, max_bytes: bytes } = schedule;
  return `one every ${every} s, kept ${keepText(keep)}, at most ${formatBytes(bytes) ?? ''}`;
}
