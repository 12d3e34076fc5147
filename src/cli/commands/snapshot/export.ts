/** `bough snapshot export`, or `bough export`: a snapshot as one file. */

import type { Command } from 'commander';
import { open, rename, rm, stat } from 'node:fs/promises';
import { messageOf, temporaryPath } from '../../../base/index.js';
import { nameArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { exported } from '../../exported.js';
import { Interrupts } from '../../interrupts.js';
import { withProgress } from '../../progress.js';

export function registerExport(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('export')
    .description(
      'Write a snapshot into one file, for `bough import` on another host. It holds everything that the memory of its guest held.',
    )
    .argument('<tag>', 'the snapshot', nameArgument)
    .argument('<file>', 'where to write it, whole or not at all; - for standard output');
  addClientOptions(command).action(async (tag: string, path: string) => {
    if (path !== '-') await requireNoFolder(path);
    const { snapshots } = await clientFor(command, context);
    using interrupts = new Interrupts(io);
    const { signal } = interrupts;
    if (path === '-')
      for await (const piece of snapshots.export(tag, { signal })) await io.write('stdout', piece);
    else
      await withProgress(io, `packing ${tag}`, (progress) =>
        writeWhole(path, exported(snapshots, tag, { progress, doing: `writing ${path}`, signal })),
      );
  });
  withExample(command, 'bough export base base.bough');
}

/** Else it would be found out when all of it has been written. */
async function requireNoFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (path.endsWith('/') || found?.isDirectory() === true)
    throw new UsageError(`Cannot write ${path}: it is a folder`);
}

/** Nobody sees the file before all of it is on disk. */
async function writeWhole(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const unfinished = temporaryPath(path);
  const writing = async <T>(work: Promise<T>): Promise<T> =>
    work.catch((cause: unknown) => {
      throw new Error(`Cannot write ${path}: ${messageOf(cause)}`, { cause });
    });
  const file = await writing(open(unfinished, 'wx', 0o600));
  try {
    try {
      for await (const piece of bytes) await writing(file.writeFile(piece));
      await writing(file.sync());
    } finally {
      await file.close();
    }
    await writing(rename(unfinished, path));
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
