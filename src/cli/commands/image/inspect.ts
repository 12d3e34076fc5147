/** `bough image inspect`: what is known of one image. */

import type { Command } from 'commander';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';
import { type Context } from '../../context.js';
import { addOutputOption, printFacts } from '../../output.js';
import { withExample } from '../../example.js';
import { CommandEnd } from '../../exit.js';

export function registerImageInspect(parent: Command, context: Context): void {
  const { io, providers } = context;
  const command = parent
    .command('inspect')
    .description(
      'Show one image: its files, and of an imported one where it came from and how its programs run. Needs no daemon.',
    )
    .argument('<image>', 'name of an image');
  addCacheDirOption(addOutputOption(command)).action(async (name: string, options: CacheDirOptions) => {
    const image = await providers.findImage(await cacheDirOf(options, io), name);
    if (image === undefined) {
      io.stderr(`error: The image "${name}" is not built\nhint: bough image build ${name}\n`);
      throw new CommandEnd(1);
    }
    printFacts(command, context, image, image.name);
  });
  withExample(command, 'bough image inspect postgres-16 -o json');
}
