/** `bough image rm`: remove images. */

import type { Command } from 'commander';
import { nameArguments } from '../../arguments.js';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { forEach } from '../../each.js';

export function registerImageRm(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('rm')
    .description('Remove images. Snapshots made from them go on working. Needs no daemon.')
    .argument('<image...>', 'names of images', nameArguments);
  addCacheDirOption(command).action(async (names: string[], options: CacheDirOptions) => {
    const cacheDir = await cacheDirOf(options, io);
    await forEach(names, (name) => providers.removeImage(cacheDir, name), io);
  });
  withExample(command, 'bough image rm postgres-16');
}
