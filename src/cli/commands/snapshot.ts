/** `bough snapshot`: make one from an image, look at one, fold one. */

import type { Command } from 'commander';
import { formatTable } from '../../base/table.js';
import { nameArgument, seconds, wholeNumber } from '../arguments.js';
import { addClientOptions, addOutputOption, clientFor, printResult, type Context } from '../context.js';
import { withExample } from '../example.js';
import { UsageError } from '../exit.js';
import { formatBytes } from '../format.js';
import { addExpiryOption } from '../lifetime-options.js';

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

export function registerSnapshot(program: Command, context: Context): void {
  const snapshot = program
    .command('snapshot')
    .description('Make, inspect and fold snapshots.')
    .helpCommand(false);
  registerCreate(snapshot, context);
  registerInfo(snapshot, context);
  registerCompact(snapshot, context);
}

function registerCreate(snapshot: Command, context: Context): void {
  const command = snapshot
    .command('create')
    .description('Boot an image and capture it when it is ready.')
    .requiredOption('--tag <tag>', 'name of the snapshot', nameArgument)
    .option('--image <name>', 'a built image')
    .option('--kernel <file>', 'instead of an image, with --rootfs')
    .option('--rootfs <file>', 'instead of an image, with --kernel')
    .option('--initrd <file>', 'with --kernel')
    .option('--memory <MiB>', "RAM in MiB (default: the image's)", wholeNumber(32, 1_048_576))
    .option('--vcpus <n>', "virtual CPUs (default: the image's)", wholeNumber(1, 64))
    .option('--boot-wait <seconds>', 'let the guest run this long before the capture', seconds(60));
  addOutputOption(addClientOptions(addExpiryOption(command))).action(async (options: CreateOptions) => {
    const { tag, image, kernel, rootfs, initrd, memory, vcpus, bootWait, expires } = options;
    if (image === undefined ? kernel === undefined || rootfs === undefined : kernel !== undefined) {
      throw new UsageError('Nothing to boot: give --image, or --kernel and --rootfs');
    }
    const client = await clientFor(command, context);
    const made = await client.snapshots.create({
      tag,
      image,
      kernel,
      rootfs,
      initrd,
      memory_mib: memory,
      vcpus,
      boot_wait_secs: bootWait,
      expires_in_secs: expires,
    });
    const size = formatBytes(made.memory_physical_bytes);
    printResult(command, context, made, {
      lines: [made.tag],
      words: `snapshot "${made.tag}" is ${made.status}${size === undefined ? '' : `, ${size} of memory`}`,
    });
  });
  withExample(command, 'bough snapshot create --tag base --image python-numpy');
}

function registerInfo(snapshot: Command, context: Context): void {
  const command = snapshot
    .command('info')
    .description('Show sizes and lineage of a snapshot.')
    .argument('<tag>', 'the snapshot', nameArgument);
  addOutputOption(addClientOptions(command)).action(async (tag: string) => {
    const info = await (await clientFor(command, context)).snapshots.info(tag);
    const facts = Object.entries(info).map(([name, value]) => ({
      name,
      value: Array.isArray(value) ? value.join(', ') : String(value),
    }));
    const table = formatTable(facts, [
      { title: 'FIELD', value: (fact) => fact.name },
      { title: 'VALUE', value: (fact) => fact.value },
    ]);
    printResult(command, context, info, { lines: [table.trimEnd()] });
  });
  withExample(command, 'bough snapshot info base');
}

function registerCompact(snapshot: Command, context: Context): void {
  const command = snapshot
    .command('compact')
    .description('Fold a snapshot and its ancestors into a new one without parents.')
    .argument('<tag>', 'the snapshot', nameArgument)
    .requiredOption('--to <tag>', 'name of the new snapshot', nameArgument);
  addOutputOption(addClientOptions(command)).action(async (tag: string, { to }: { to: string }) => {
    const made = await (await clientFor(command, context)).snapshots.compact(tag, to);
    printResult(command, context, made, { lines: [made.tag] });
  });
  withExample(command, 'bough snapshot compact step-40 --to base-2');
}
