/** `bough image build`: make an image on this host, of a definition or a Dockerfile. */

import type { Command } from 'commander';
import { compact } from '../../../base/index.js';
import { keyValue, wholeNumber } from '../../arguments.js';
import { addCacheDirOption, cacheDirOf, type CacheDirOptions } from '../../cache-dir.js';
import { type Context } from '../../context.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { withProgress } from '../../progress.js';
import type { ImageSummary } from '../../providers.js';

interface BuildOptions extends CacheDirOptions {
  file?: string;
  tag?: string;
  definition?: string;
  buildArg?: Record<string, string>;
  disk?: number;
}

export function registerImageBuild(parent: Command, context: Context): void {
  const command = parent
    .command('build')
    .description('Build an image: kernel, initramfs and root filesystem. Needs no daemon.')
    .argument('[name]', 'name of an image definition; with --tag the folder that a Dockerfile copies from')
    .option('--definition <file>', 'build what this file defines, instead of one that comes with bough')
    .option('-t, --tag <name>', 'name of the image that a Dockerfile makes')
    .option('-f, --file <Dockerfile>', "with --tag (default: the folder's Dockerfile)")
    .option('--build-arg <NAME=value>', "of the Dockerfile's ARG, repeatable", keyValue)
    .option('--disk <MiB>', 'with --tag: size of the disk', wholeNumber(16, 1_048_576));
  addCacheDirOption(addOutputOption(command)).action(
    async (name: string | undefined, options: BuildOptions) => {
      const { tag, definition } = options;
      if (definition !== undefined && (tag ?? name) !== undefined)
        throw new UsageError('Two images at once: --definition goes without a name and without --tag');
      const built = await (tag === undefined ? ofDefinition : ofDockerfile)(context, name, options);
      printResult(command, context, built, { lines: [built.name] });
    },
  );
  withExample(
    command,
    'bough image build python-numpy\nbough image build --definition mine.json\nbough image build -f Dockerfile -t mine .',
  );
}

async function ofDefinition(
  context: Context,
  name: string | undefined,
  options: BuildOptions,
): Promise<ImageSummary> {
  if ((options.file ?? options.buildArg ?? options.disk) !== undefined)
    throw new UsageError('No name for the image: --file, --build-arg and --disk are for --tag');
  const { definition: file } = options;
  const what = file ?? name;
  if (what === undefined) throw new UsageError('Nothing to build: give a definition, or --tag and a folder');
  const cacheDir = await cacheDirOf(options, context.io);
  return withProgress(context.io, `building ${what}`, ({ doing: onProgress }) =>
    file === undefined
      ? context.providers.buildImage({ name: what, cacheDir, onProgress })
      : context.providers.buildDefinition({ file, cacheDir, onProgress }),
  );
}

async function ofDockerfile(context: Context, folder = '.', options: BuildOptions): Promise<ImageSummary> {
  const { tag: name = '', file: dockerfile, buildArg: buildArgs, disk: diskMiB } = options;
  return context.providers.buildDockerfile({
    ...{ name, context: folder, cacheDir: await cacheDirOf(options, context.io) },
    ...compact({ dockerfile, buildArgs, diskMiB }),
    onProgress: (words) => {
      if (context.io.isTerminal) context.io.stderr(`${words}\n`);
    },
    // What a build prints is what one waits for, also where nobody watches.
    onLine: (line) => context.io.stderr(`${line}\n`),
  });
}
