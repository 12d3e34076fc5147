/** `bough process kill`: a signal to a kept process. */

import type { Command } from 'commander';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { keptProcess } from '../../kept-process.js';

export function registerProcessKill(parent: Command, context: Context): void {
  const command = parent
    .command('kill')
    .description('Send a signal to a program that was started to be kept.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<process>', 'its process id or tag')
    .option('-s, --signal <signal>', 'by name or number (default TERM); KILL ends all that it started');
  addClientOptions(command).action(async (id: string, which: string, { signal }: { signal?: string }) => {
    const process = await keptProcess(await clientFor(command, context), id, which);
    await process.signal(
      signal !== undefined && /^\d+$/.test(signal) ? Number(signal) : signal?.toUpperCase(),
    );
  });
  withExample(command, 'bough process kill $id web');
}
