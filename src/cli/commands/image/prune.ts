/** `bough image prune`: remove the images that no name finds any more. */

import type { Command } from 'commander';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';
import { type Context } from '../../context.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';

export function registerImagePrune(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('prune')
    .description(
      'Remove images of earlier definitions and earlier imports of a name, damaged ones, and what a broken import left. Needs no daemon.',
    );
  addCacheDirOption(addOutputOption(command)).action(async (options: CacheDirOptions) => {
    const removed = await providers.pruneImages(await cacheDirOf(options, io));
    printResult(command, context, removed, { lines: removed });
  });
  withExample(command, 'bough image prune');
}
