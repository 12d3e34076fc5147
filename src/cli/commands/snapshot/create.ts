/** `bough snapshot create`: boot an image, and capture it. */

import { InvalidArgumentError, type Command } from 'commander';
import { READY_FORMS, readyCheck } from '../../../contract/v1/ready.js';
import { duration, durationUpTo, nameArgument, wholeNumber } from '../../arguments.js';
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
  like?: string;
  kernel?: string;
  rootfs?: string;
  initrd?: string;
  memory?: number;
  vcpus?: number;
  bootWait?: number;
  start?: string | true;
  ready?: string;
  readyTimeout?: number;
  expires?: number;
}

export function registerCreate(parent: Command, context: Context): void {
  const command = parent
    .command('create')
    .description('Boot an image and capture it when it is ready.')
    .requiredOption('--tag <tag>', 'name of the snapshot', nameArgument)
    .option('--image <image>', 'a built image')
    .option('--like <tag>', 'instead of an image: make this snapshot again, as it was made', nameArgument)
    .option('--kernel <file>', 'instead of an image, with --rootfs')
    .option('--rootfs <file>', 'instead of an image, with --kernel')
    .option('--initrd <file>', 'with --kernel')
    .option('--memory <MiB>', "RAM in MiB (default: the image's)", wholeNumber(32, 1_048_576))
    .option('--vcpus <n>', "virtual CPUs (default: the image's)", wholeNumber(1, 64))
    .option(
      '--boot-wait <duration>',
      'let the guest run this long before the capture, at most 60s',
      durationUpTo(60),
    )
    .option(
      '--start [command]',
      "start this line of a shell, or the image's own command, and capture it running",
    )
    .option('--ready <check>', `when it is ready: ${READY_FORMS} (default: the image's)`, readyArgument)
    .option('--ready-timeout <duration>', 'how long that may take, at most 1h (default: 2m)', duration);
  addOutputOption(addClientOptions(addExpiryOption(command))).action(async (options: CreateOptions) => {
    const { tag, image, like, kernel, rootfs, initrd, memory, vcpus, bootWait, expires } = options;
    const { start, ready, readyTimeout } = options;
    if (
      like === undefined &&
      (image === undefined ? kernel === undefined || rootfs === undefined : kernel !== undefined)
    ) {
      throw new UsageError('Nothing to boot: give --image, or --kernel and --rootfs');
    }
    if (start === undefined && (ready ?? readyTimeout) !== undefined)
      throw new UsageError('Nothing to wait for: --ready and --ready-timeout are for --start');
    const client = await clientFor(command, context);
    const request = {
      tag,
      image,
      like,
      kernel,
      rootfs,
      initrd,
      memory_mib: memory,
      vcpus,
      boot_wait_secs: bootWait,
      start: typeof start === 'string' ? ['/bin/sh', '-c', start] : start,
      ready,
      ready_timeout_secs: readyTimeout,
      expires_in_secs: expires,
    };
    const made = await withProgress(context.io, `booting ${image ?? like ?? kernel ?? ''}`, () =>
      client.snapshots.create(request),
    );
    const size = formatBytes(made.memory_physical_bytes);
    printResult(command, context, made, {
      lines: [made.tag],
      words: `snapshot "${made.tag}" is ${made.status}${size === undefined ? '' : `, ${size} of memory`}`,
    });
  });
  withExample(
    command,
    'bough snapshot create --tag base --image python-numpy\nbough snapshot create --tag pg --image postgres-16 --start --ready tcp:5432',
  );
}

function readyArgument(text: string): string {
  if (readyCheck(text) === undefined) throw new InvalidArgumentError(`It must be ${READY_FORMS}.`);
  return text;
}
