/** `bough process logs`, or `bough logs`: what a kept process printed, each stream to its own. */

import type { Command } from 'commander';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { Interrupts } from '../../interrupts.js';
import { keptProcess } from '../../kept-process.js';

export function registerLogs(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('logs')
    .description(
      'Print what a program that was started to be kept has printed: the last mebibyte of each stream.',
    )
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('[process]', 'its process id or tag; the latest if none is given')
    .option('-f, --follow', 'go on with what it prints until it has ended, after a lost connection too');
  addClientOptions(command).action(
    async (id: string, which: string | undefined, { follow }: { follow?: true }) => {
      const process = await keptProcess(await clientFor(command, context), id, which);
      using interrupts = new Interrupts(io);
      const { signal } = interrupts;
      for await (const piece of process.output({ follow: follow === true }, { signal })) {
        if ('bytes' in piece && piece.type !== 'gap')
          await io.write(piece.type === 'stderr' ? 'stderr' : 'stdout', piece.bytes);
        else if (piece.type === 'gap')
          io.stderr(`note: ${piece.bytes} bytes of ${piece.stream} are not kept any more\n`);
      }
    },
  );
  withExample(command, 'bough logs -f $id web');
}
