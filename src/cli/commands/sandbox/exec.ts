/** `bough sandbox exec`: a program in the guest. Its output and its status become this command's. */

import type { Command } from 'commander';
import { limits } from '../../../daemon/shell/limits.js';
import { BoughApiError, type Bough } from '../../../sdk/index.js';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { CommandEnd, UsageError } from '../../exit.js';
import { printOutput } from '../../guest-output.js';
import { runGuestProgram, type GuestProgram } from '../../guest-program.js';
import { Interrupts } from '../../interrupts.js';
import { withNetworkHint } from '../../network-hint.js';
import { addOutputOption, outputForm, printAsData } from '../../output.js';
import { addProgramCommand } from '../../program-command.js';
import { addProgramOptions, guestProgram, type ProgramOptions } from '../../program-options.js';

interface ExecOptions extends ProgramOptions {
  detach?: true;
  tag?: string;
}

/** What one answer may take to come, and what `exec` takes. */
const MAX_WHOLE_SECS = 3600;

export function registerExec(parent: Command, context: Context): void {
  const command = addProgramCommand(parent, 'exec')
    .description('Run a program in a sandbox; passes on input, output and signals, and ends with its status.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<args...>', 'the program and all that is its own; -- may stand before it')
    .option('-d, --detach', 'print its process id and leave it running; see `bough ps` and `bough logs`')
    .option('--tag <tag>', 'with --detach: what `bough ps` and `bough logs` call it');
  addOutputOption(addClientOptions(addProgramOptions(command))).action(
    async (id: string, words: string[], options: ExecOptions) => {
      const client = await clientFor(command, context);
      const program = guestProgram(words, options);
      if (options.detach === true) return detach({ command, context, client, id }, program, options);
      if (options.tag !== undefined)
        throw new UsageError('--tag is for a program that is left running: add --detach');
      const isWhole = ['json', 'yaml'].includes(outputForm(command));
      const status = isWhole
        ? await runWhole({ command, context, client, id }, program)
        : await runStreamed({ command, context, client, id }, program);
      if (status !== 0) throw new CommandEnd(status);
    },
  );
  withExample(
    command,
    'bough exec $id python3 -c "print(6 * 7)"\ntar -c . | bough exec -i $id tar -x -C /srv\nbough exec -t $id sh\nbough exec -d --tag web $id python3 -m http.server',
  );
}

interface Where {
  readonly command: Command;
  readonly context: Context;
  readonly client: Bough;
  readonly id: string;
}

async function runStreamed(where: Where, program: GuestProgram): Promise<number> {
  const { context, client, id } = where;
  using interrupts = new Interrupts(context.io);
  try {
    const hinted = { io: context.io, id, network: client.sandboxes.network(id), stays: true };
    return await withNetworkHint(hinted, (io) =>
      runGuestProgram(io, client.sandboxes.processes(id), program, interrupts),
    );
  } catch (error) {
    // Agents in snapshots of older versions keep no processes.
    if (error instanceof BoughApiError && error.code === 'agent_refused')
      return await runWhole(where, program);
    throw error;
  }
}

/** One answer with all of it, as text. */
async function runWhole({ command, context, client, id }: Where, program: GuestProgram): Promise<number> {
  const { io } = context;
  const { args, env, cwd, user, timeoutSecs, hasInput } = program;
  const result = await client.sandboxes.exec(id, {
    args: [...args],
    env,
    cwd,
    user,
    timeout_secs: timeoutSecs ?? MAX_WHOLE_SECS,
    stdin: hasInput ? await io.readStdin(limits.bodyLimitBytes) : undefined,
  });
  if (!printAsData(command, context, result)) printOutput(io, result);
  return result.exit_code;
}

async function detach(
  { command, context, client, id }: Where,
  { args, env, cwd, user, timeoutSecs, hasInput, wantsTerminal }: GuestProgram,
  { tag }: ExecOptions,
): Promise<void> {
  if (hasInput || wantsTerminal) throw new UsageError('What is left running gets neither -i nor -t');
  const processes = client.sandboxes.processes(id);
  const { pid } = await processes.start(args, { env, cwd, user, timeout_secs: timeoutSecs, tag });
  if (!printAsData(command, context, await processes.of(pid).info())) context.io.stdout(`${pid}\n`);
}
