/** `bough image ls`: the images that can be booted. */

import type { Command } from 'commander';
import type { Column } from '../../../base/table.js';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';
import { type Context } from '../../context.js';
import { addListOptions, printRows } from '../../output.js';
import { withExample } from '../../example.js';
import { formatBytes } from '../../format.js';
import type { ImageSummary } from '../../providers.js';

const columns: readonly Column<ImageSummary>[] = [
  { title: 'NAME', value: (one) => one.name },
  { title: 'ROOTFS', value: (one) => formatBytes(one.rootfsBytes), align: 'right' },
  { title: 'RAM', value: (one) => `${one.memoryMiB} MiB`, align: 'right' },
  { title: 'VCPUS', value: (one) => one.vcpus, align: 'right' },
  { title: 'DIGEST', value: (one) => one.digest.slice(0, 19) },
  { title: 'FROM', value: ({ origin }) => origin && `${origin.reference} ${origin.digest.slice(0, 19)}` },
];

export function registerImageLs(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('ls')
    .description('List the images that have been built or imported. Needs no daemon.');
  addCacheDirOption(addListOptions(command)).action(async (options: CacheDirOptions) => {
    const rows = await providers.listImages(await cacheDirOf(options, io));
    printRows(command, context, { rows, columns, name: ({ name }) => name });
  });
  withExample(command, 'bough image ls -o json');
}
