/** `bough snapshot create`: boot an image, and capture it. */

import type { Command } from 'commander';
import { durationUpTo, nameArgument, wholeNumber } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withProgress } from '../../progress.js';
import { addOutputOption, printResult } from '../../output.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { formatBytes } from '../../format.js';
import { addExpiryOption } from '../../lifetime-options.js';

interface CreateOptions {
  tag: string;
  image?: string;
  kernel?: string;
  rootfs?: string;
  initrd?: string;
  memory?: number;
  vcpus?: number;
  bootWait?: number;
  expires?: number;
}

export function registerCreate(parent: Command, context: Context): void {
  const command = parent
    .command('create')
    .description('Boot an image and capture it when it is ready.')
    .requiredOption('--tag <tag>', 'name of the snapshot', nameArgument)
    .option('--image <image>', 'a built image')
    .option('--kernel <file>', 'instead of an image, with --rootfs')
    .option('--rootfs <file>', 'instead of an image, with --kernel')
    .option('--initrd <file>', 'with --kernel')
    .option('--memory <MiB>', "RAM in MiB (default: the image's)", wholeNumber(32, 1_048_576))
    .option('--vcpus <n>', "virtual CPUs (default: the image's)", wholeNumber(1, 64))
    .option(
      '--boot-wait <duration>',
      'let the guest run this long before the capture, at most 60s',
      durationUpTo(60),
    );
  addOutputOption(addClientOptions(addExpiryOption(command))).action(async (options: CreateOptions) => {
    const { tag, image, kernel, rootfs, initrd, memory, vcpus, bootWait, expires } = options;
    if (image === undefined ? kernel === undefined || rootfs === undefined : kernel !== undefined) {
      throw new UsageError('Nothing to boot: give --image, or --kernel and --rootfs');
    }
    const client = await clientFor(command, context);
    const request = {
      tag,
      image,
      kernel,
      rootfs,
      initrd,
      memory_mib: memory,
      vcpus,
      boot_wait_secs: bootWait,
      expires_in_secs: expires,
    };
    const made = await withProgress(context.io, `booting ${image ?? kernel ?? ''}`, () =>
      client.snapshots.create(request),
    );
    const size = formatBytes(made.memory_physical_bytes);
    printResult(command, context, made, {
      lines: [made.tag],
      words: `snapshot "${made.tag}" is ${made.status}${size === undefined ? '' : `, ${size} of memory`}`,
    });
  });
  withExample(command, 'bough snapshot create --tag base --image python-numpy');
}
