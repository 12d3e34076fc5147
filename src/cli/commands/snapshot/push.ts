/** `bough snapshot push`, or `bough push`: a snapshot into a registry. */

import type { Command } from 'commander';
import { compact } from '../../../base/index.js';
import { nameArgument } from '../../arguments.js';
import { addCacheDirOption, cacheDirOf } from '../../cache-dir.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { exported } from '../../exported.js';
import { Interrupts } from '../../interrupts.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';
import { addRegistryOptions, type RegistryCommandOptions } from '../../registry-options.js';

export function registerPush(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('push')
    .description(
      'Send a snapshot to a registry of images; what is there already is not sent again. It holds everything that the memory of its guest held.',
    )
    .argument('<tag>', 'the snapshot', nameArgument)
    .argument('<reference>', 'where to, such as registry.example/team/base:v1');
  addRegistryOptions(addCacheDirOption(addOutputOption(addClientOptions(command)))).action(
    async (tag: string, reference: string, options: RegistryCommandOptions) => {
      const { snapshots } = await clientFor(command, context);
      using interrupts = new Interrupts(io);
      const { signal } = interrupts;
      const how = {
        reference,
        cacheDir: await cacheDirOf(options, io),
        signal,
        ...compact({ authFile: options.authfile }),
      };
      const pushed = await withProgress(io, `packing ${tag}`, (progress) => {
        const onSent = (bytes: number, totalBytes: number): void => {
          progress.doing(`sending ${tag}`);
          progress.moved(bytes, totalBytes);
        };
        const bytes = exported(snapshots, tag, { progress, doing: `reading ${tag}`, signal });
        return providers.pushSnapshot(bytes, { ...how, onSent });
      });
      const { claimedBy: key } = pushed;
      const words =
        key === undefined ? 'It is not signed: `bough hub keygen` makes a key.' : `Signed by ${key}.`;
      const result = { reference, digest: pushed.digest, signed_by: key };
      printResult(command, context, result, { lines: [pushed.digest], words });
    },
  );
  withExample(command, 'bough push base registry.example/team/base:v1');
}
