/** `bough image build`: make an image on this host. */

import type { Command } from 'commander';
import { type Context } from '../../context.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';

export function registerImageBuild(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('build')
    .description('Build an image: kernel, initramfs and root filesystem. Needs no daemon.')
    .argument('<name>', 'name of an image definition');
  addCacheDirOption(addOutputOption(command)).action(async (name: string, options: CacheDirOptions) => {
    const onProgress = (words: string) => {
      if (io.isTerminal) io.stderr(`${words}\n`);
    };
    const built = await providers.buildImage({ name, cacheDir: cacheDirOf(options, io), onProgress });
    printResult(command, context, built, { lines: [built.name] });
  });
  withExample(command, 'bough image build python-numpy');
}
