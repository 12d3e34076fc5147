/** `bough sandbox timeout`: set when a sandbox ends; prints when that is. */

import type { Command } from 'commander';
import { durationOrNever, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { formatDuration } from '../../format.js';
import { addEndOptions, type LifetimeOptions } from '../../lifetime-options.js';

interface TimeoutOptions extends Omit<LifetimeOptions, 'idleTimeout'> {
  idleTimeout?: number | 'never';
  extendOnly?: true;
}

export function registerTimeout(parent: Command, context: Context): void {
  const command = parent
    .command('timeout')
    .description('Set when a sandbox ends, counted from now, or how.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('[duration]', 'such as 90s, 10m, 1h30m, 7d, or never', durationOrNever)
    .option('--idle-timeout <duration>', 'end it after so long without use, or never', durationOrNever)
    .option('--extend-only', 'change nothing to an earlier end');
  addOutputOption(addClientOptions(addEndOptions(command))).action(
    async (id: string, end: number | 'never' | undefined, options: TimeoutOptions) => {
      const { idleTimeout, onEnd, onEndTag, extendOnly } = options;
      if ([end, idleTimeout, onEnd, onEndTag].every((given) => given === undefined)) {
        throw new UsageError('Nothing to set: give a duration, never, or an option');
      }
      const client = await clientFor(command, context);
      const sandbox = await client.sandboxes.setTimeout(id, {
        ...(end === 'never' ? { never: true } : { timeout_secs: end }),
        idle_timeout_secs: idleTimeout === 'never' ? 0 : idleTimeout,
        on_end: onEnd,
        on_end_tag: onEndTag,
        extend_only: extendOnly,
      });
      const { end_at_unix: atUnix, idle_timeout_secs: idle } = sandbox;
      const words = [
        atUnix === undefined ? undefined : `ends at ${new Date(atUnix * 1000).toISOString()}`,
        idle === undefined ? undefined : `ends after ${formatDuration(idle)} without use`,
      ].filter((part) => part !== undefined);
      printResult(command, context, sandbox, {
        lines: [words.length === 0 ? 'does not end by itself' : words.join(', ')],
      });
    },
  );
  withExample(command, 'bough timeout $id 2h --on-end snapshot');
}
