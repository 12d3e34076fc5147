/** `bough sandbox cp`: files and folders, into sandboxes and out of them. */

import type { Command } from 'commander';
import { plainLine } from '../../../base/table.js';
import type { Bough } from '../../../sdk/index.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import type { End } from '../../copy/copy.js';
import { placeArgument, type Place } from '../../copy/place.js';
import { withExample } from '../../example.js';
import { UsageError } from '../../exit.js';
import { Interrupts } from '../../interrupts.js';
import type { Io } from '../../io.js';
import { withProgress } from '../../progress.js';

interface CopyOptions {
  followLink?: true;
  user?: string;
}

export function registerCp(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('cp')
    .description(
      'Copy a file, or a folder with all that is in it, into a sandbox, out of one, or from one to another. A folder that is there gets it by its own name, with `/.` at its end what is in it. `-` is standard input or output: the bytes of a file, of a folder a tar archive of what is in it.',
    )
    .argument('<source>', '`<sandbox>:<path>`, a path here, or `-`', placeArgument)
    .argument('<target>', 'likewise', placeArgument)
    .option('-L, --follow-link', 'of a source that is a link, copy what it leads to')
    .option(
      '-u, --user <user>',
      'whom it is done as in the sandbox, `user` or `user:group` (default: the user of its image)',
    );
  addClientOptions(command).action(async (source: Place, target: Place, options: CopyOptions) => {
    if (source.at !== 'sandbox' && target.at !== 'sandbox')
      throw new UsageError('Neither of the two is in a sandbox: give one as <sandbox>:<path>');
    const client = await clientFor(command, context);
    using interrupts = new Interrupts(io);
    await withProgress(io, 'copying', () => transfer({ io, client, options, interrupts }, source, target));
  });
  withExample(
    command,
    'bough cp ./app $id:/srv\nbough cp $id:/srv/out/. ./results\nbough cp $id:/var/log/app.log - | tail\ntar -c -C app . | bough cp - $id:/srv',
  );
}

interface Transfer {
  readonly io: Io;
  readonly client: Bough;
  readonly options: CopyOptions;
  readonly interrupts: Interrupts;
}

async function transfer(about: Transfer, source: Place, target: Place): Promise<void> {
  // The library that reads archives is for this command alone.
  const { bytesOf, copy, putBytes } = await import('../../copy/copy.js');
  const { io, options, interrupts } = about;
  if (source.at === 'stdio') return putBytes(io.stdinChunks(interrupts.signal), await endOf(about, target));
  if (target.at !== 'stdio')
    return copy(await endOf(about, source), await endOf(about, target), {
      follow: options.followLink === true,
    });
  for await (const piece of await bytesOf(await endOf(about, source))) await io.write('stdout', piece);
}

async function endOf(
  { io, client, options: { user }, interrupts: { signal } }: Transfer,
  place: Place,
): Promise<End> {
  if (place.at === 'stdio') throw new UsageError('Standard input cannot be copied to standard output');
  const { path } = place;
  if (place.at === 'sandbox') {
    const { sandboxSide } = await import('../../copy/sandbox-side.js');
    return {
      side: sandboxSide(place.sandbox, client.sandboxes.files(place.sandbox), { user, signal }),
      path,
    };
  }
  const { localSide } = await import('../../copy/local-side.js');
  return { side: localSide((words) => io.stderr(`note: ${plainLine(words)}\n`)), path };
}
