/** `bough sandbox branch`: capture a running sandbox; prints the snapshot's tag. */

import { Option, type Command } from 'commander';
import type { BranchMode, BranchWait } from '../../../contract/index.js';
import { nameArgument, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withProgress } from '../../progress.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { formatBytes, formatMs } from '../../format.js';
import { addRetentionOptions, retentionRequest, type RetentionOptions } from '../../lifetime-options.js';

interface BranchOptions extends RetentionOptions {
  tag?: string;
  mode?: BranchMode;
  freeze?: boolean;
  wait?: 'ready' | 'durable' | 'none';
}

const waits = { ready: true, durable: 'durable', none: false } as const satisfies Record<string, BranchWait>;

export function registerBranch(parent: Command, context: Context): void {
  const command = parent
    .command('branch')
    .description('Capture a running sandbox, which keeps running; prints the tag of the snapshot.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .option('--tag <tag>', 'name of the snapshot (default: made up)', nameArgument)
    .addOption(
      new Option('--mode <mode>', 'how to capture memory (default live)').choices(['live', 'diff', 'full']),
    )
    .option('--freeze', "programs stand still until they are a child's own")
    .addOption(
      new Option('--wait <until>', 'answer when it is ready (default), durable, or at once').choices(
        Object.keys(waits),
      ),
    );
  addOutputOption(addClientOptions(addRetentionOptions(command))).action(
    async (id: string, { tag, mode, freeze, wait, ...retention }: BranchOptions) => {
      const client = await clientFor(command, context);
      const request = {
        tag,
        mode,
        freeze,
        wait: wait === undefined ? undefined : waits[wait],
        ...retentionRequest(retention),
      };
      const snapshot = await withProgress(context.io, `branching ${id}`, () =>
        client.sandboxes.branch(id, request),
      );
      const facts = [
        `snapshot "${snapshot.tag}" is ${snapshot.status}`,
        snapshot.pause_ms === undefined
          ? undefined
          : `the sandbox paused for ${formatMs(snapshot.pause_ms) ?? ''}`,
        snapshot.captured_bytes === undefined
          ? undefined
          : `${formatBytes(snapshot.captured_bytes) ?? ''} captured`,
      ];
      printResult(command, context, snapshot, {
        lines: [snapshot.tag],
        words: facts.filter((fact) => fact !== undefined).join(', '),
      });
    },
  );
  withExample(
    command,
    'bough branch $id --tag before-upgrade --wait durable\nbough branch $id --expires 7d --keep-last 5',
  );
}
