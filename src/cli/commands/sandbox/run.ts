/** `bough sandbox run`: a program in a sandbox of its own, which is gone when the program has ended, however that was. */

import type { Command } from 'commander';
import { messageOf } from '../../../base/index.js';
import type { Bough } from '../../../sdk/index.js';
import { keyValue, nameArgument, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { CommandEnd } from '../../exit.js';
import { runGuestProgram, type GuestProgram } from '../../guest-program.js';
import { Interrupts } from '../../interrupts.js';
import type { Io } from '../../io.js';
import { withNetworkHint } from '../../network-hint.js';
import { addNetworkOptions, networkPolicy, type NetworkOptions } from '../../network-options.js';
import { addProgramCommand } from '../../program-command.js';
import { addProgramOptions, guestProgram, type ProgramOptions } from '../../program-options.js';
import { withProgress } from '../../progress.js';

interface RunOptions extends ProgramOptions, NetworkOptions {
  name?: string;
  metadata?: Record<string, string>;
}

export function registerRun(parent: Command, context: Context): void {
  const { io } = context;
  const command = addProgramCommand(parent, 'run')
    .description(
      'Run a program in a new sandbox and end that with it, on Ctrl-C too; ends with the status of the program.',
    )
    .argument('<tag>', 'the snapshot to start from', nameArgument)
    .argument('<args...>', 'the program and all that is its own; -- may stand before it')
    .option('--name <name>', 'a name for the sandbox', sandboxArgument)
    .option('--metadata <NAME=value>', 'a fact to select it by; may be repeated', keyValue);
  addClientOptions(addNetworkOptions(addProgramOptions(command))).action(
    async (tag: string, words: string[], options: RunOptions) => {
      const program = guestProgram(words, options);
      const { name, metadata } = options;
      const request = { snapshot_tag: tag, name, metadata, network: networkPolicy(options) };
      const client = await clientFor(command, context);
      using interrupts = new Interrupts(io);
      // Not given up at an interrupt: who does not wait for the answer does not know what there is to remove.
      const [sandbox] = await withProgress(io, `starting from ${tag}`, () => client.sandboxes.spawn(request));
      if (sandbox === undefined) throw new Error('The daemon started no sandbox');
      const status = await runIn(client.sandboxes, sandbox.id, { io, program, interrupts }).finally(() =>
        remove(client, sandbox.id, io),
      );
      if (status !== 0) throw new CommandEnd(status);
    },
  );
  withExample(command, 'bough run base python3 -c "print(6 * 7)"\nbough run -t --network internet base sh');
}

async function runIn(
  sandboxes: Bough['sandboxes'],
  id: string,
  {
    io,
    program,
    interrupts,
  }: { readonly io: Io; readonly program: GuestProgram; readonly interrupts: Interrupts },
): Promise<number> {
  interrupts.signal.throwIfAborted();
  return withNetworkHint({ io, id, network: sandboxes.network(id), stays: false }, (hinted) =>
    runGuestProgram(hinted, sandboxes.processes(id), program, interrupts),
  );
}

/** That it could not be removed is said, and does not hide how the program ended. */
async function remove(client: Bough, id: string, io: Io): Promise<void> {
  await client.sandboxes.delete(id).catch((error: unknown) => {
    io.stderr(`error: the sandbox is left: ${messageOf(error)}\nhint: \`bough rm ${id}\` ends it\n`);
  });
}
