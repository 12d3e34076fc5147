/** `bough snapshot import`, or `bough import`: a snapshot of another host. */

import type { Command } from 'commander';
import { open } from 'node:fs/promises';
import { compact, messageOf } from '../../../base/index.js';
import type { Snapshot } from '../../../contract/index.js';
import { nameArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { Interrupts } from '../../interrupts.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';

interface ImportOptions {
  readonly tag?: string;
  readonly allowUnsigned?: true;
}

export function registerImport(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('import')
    .description(
      'Take in a snapshot that `bough export` wrote on another host: checked, started once, and given a secret of its own.',
    )
    .argument('<file>', 'the file; - for standard input')
    .option('--tag <tag>', 'what to call it (default: as it was called there)', nameArgument)
    .option('--allow-unsigned', 'take it although nobody who is trusted here has signed it');
  addOutputOption(addClientOptions(command)).action(async (path: string, options: ImportOptions) => {
    const { snapshots } = await clientFor(command, context);
    using interrupts = new Interrupts(io);
    const { signal } = interrupts;
    const { bytes, size } = path === '-' ? { bytes: io.stdinChunks(signal) } : await bytesOf(path);
    const how = { ...options, allowUnsigned: options.allowUnsigned === true, signal };
    const made = await withProgress(io, `taking in ${path}`, ({ counted }) =>
      snapshots.import(
        counted(bytes, () => size),
        how,
      ),
    );
    const said = [
      how.allowUnsigned ? 'Nobody may have vouched for this snapshot: it was allowed to be unsigned.' : [],
      rebuiltWords(made) ?? [],
    ].flat();
    const words = said.length === 0 ? undefined : said.join('\n');
    printResult(command, context, made, { lines: [made.tag], ...compact({ words }) });
  });
  withExample(command, 'bough import base.bough\nbough spawn base');
}

/** Of one that is not what was sent, but is like it. */
export const rebuiltWords = ({ rebuilt }: Snapshot): string | undefined =>
  rebuilt === undefined ? undefined : `It could not be loaded and was made again from its image: ${rebuilt}.`;

interface Incoming {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Of what is no file it is not known. */
  readonly size?: number;
}

/** The file's bytes. What cannot be read is found out before anything is asked: later it would look like a daemon that is silent. */
async function bytesOf(path: string): Promise<Incoming> {
  try {
    const file = await open(path);
    const about = await file.stat();
    const bytes = (): AsyncIterable<Uint8Array> => file.createReadStream();
    if (!about.isDirectory()) return { bytes: bytes(), ...(about.isFile() && { size: about.size }) };
    await file.close();
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${messageOf(error)}`);
  }
  throw new UsageError(`Cannot read ${path}: it is a folder`);
}
