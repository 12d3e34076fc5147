/** `bough image`: guest images, built on this host. */

import type { Command } from 'commander';
import { loadConfig } from '../../daemon/config.js';
import { addOutputOption, printResult, printRows, type Context } from '../context.js';
import { withExample } from '../example.js';
import { formatBytes } from '../format.js';
import type { ImageSummary } from '../providers.js';

interface ImageOptions {
  cacheDir?: string;
}

export function registerImage(program: Command, context: Context): void {
  const { io, providers } = context;
  const image = program
    .command('image')
    .description('Build and list guest images. Needs no daemon.')
    .helpCommand(false);
  const cacheDirOf = ({ cacheDir }: ImageOptions) =>
    loadConfig(cacheDir === undefined ? {} : { cacheDir }, io.env).cacheDir;
  const addCacheDir = (command: Command) =>
    command.option('--cache-dir <dir>', "the daemon's --cache-dir (or BOUGH_CACHE_DIR)");

  const build = image
    .command('build')
    .description('Build an image: kernel, initramfs and root filesystem.')
    .argument('<name>', 'name of an image definition');
  addCacheDir(addOutputOption(build)).action(async (name: string, options: ImageOptions) => {
    const onProgress = (words: string) => io.stderr(`${words}\n`);
    const built = await providers.buildImage({ name, cacheDir: cacheDirOf(options), onProgress });
    printResult(build, context, built, { lines: [built.name] });
  });
  withExample(build, 'bough image build python-numpy');

  const ls = image.command('ls').description('List the images that have been built.');
  addCacheDir(addOutputOption(ls)).action(async (options: ImageOptions) => {
    printRows<ImageSummary>(ls, context, await providers.listImages(cacheDirOf(options)), [
      { title: 'NAME', value: (one) => one.name },
      { title: 'ROOTFS', value: (one) => formatBytes(one.rootfsBytes), align: 'right' },
      { title: 'RAM', value: (one) => `${one.memoryMiB} MiB`, align: 'right' },
      { title: 'VCPUS', value: (one) => one.vcpus, align: 'right' },
      { title: 'DIGEST', value: (one) => one.digest.slice(0, 19) },
    ]);
  });
  withExample(ls, 'bough image ls -o json');
}
