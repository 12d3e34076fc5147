/** `bough image import`: make an image of an OCI image. */

import type { Command } from 'commander';
import { compact } from '../../../base/index.js';
import { wholeNumber } from '../../arguments.js';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';
import { type Context } from '../../context.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';
import { withExample } from '../../example.js';

interface ImportOptions extends CacheDirOptions {
  as?: string;
  authfile?: string;
  disk?: number;
}

export function registerImageImport(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('import')
    .description(
      'Import an OCI image, unchanged, from a registry, Docker, Podman or a file. Needs no daemon.',
    )
    .argument('<reference>', 'such as postgres:16, docker-daemon:mine:latest, ./image.tar')
    .option('--as <name>', 'name of the image (default: made of the reference)')
    .option('--authfile <file>', "registry passwords (default: Podman's and Docker's)")
    .option('--disk <MiB>', 'size of the disk (default: content and 4 GiB)', wholeNumber(16, 1_048_576));
  addCacheDirOption(addOutputOption(command)).action(async (reference: string, options: ImportOptions) => {
    const { as: name, authfile: authFile, disk: diskMiB } = options;
    const how = { cacheDir: await cacheDirOf(options, io), ...compact({ name, authFile, diskMiB }) };
    const imported = await withProgress(io, `importing ${reference}`, ({ doing: onProgress }) =>
      providers.importImage({ reference, onProgress, ...how }),
    );
    printResult(command, context, imported, { lines: [imported.name] });
  });
  withExample(command, 'bough image import postgres:16\nbough snapshot create --tag pg --image postgres-16');
}
