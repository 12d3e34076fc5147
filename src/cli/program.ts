/**
 * The whole command line as one commander program: what runs, and what docs/reference/cli.md is made from.
 */

import { Command } from 'commander';
import { version } from '../daemon/version.js';
import { registerBench } from './commands/bench.js';
import { registerCompletion } from './commands/completion.js';
import { registerDoctor } from './commands/doctor.js';
import { registerEvents } from './commands/events.js';
import { registerGc } from './commands/gc.js';
import { registerQuickstart } from './commands/quickstart.js';
import { registerServe } from './commands/serve.js';
import { registerStop } from './commands/stop.js';
import { registerTree } from './commands/tree.js';
import { addClientOptions, type Context } from './context.js';
import { addOutputOption } from './output.js';
import { describeFailure, usageHint } from './exit.js';
import { registerNouns, registerShortForms } from './nouns.js';

/**
 * Builds the program; commands print through `context.io` and throw what run() below turns into an exit code.
 */
export function buildProgram(context: Context): Command {
  const { io } = context;
  const program = new Command('bough')
    .description('Sandboxes that can be branched while they run.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .enablePositionalOptions()
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError(`hint: ${usageHint}`)
    .exitOverride();
  addOutputOption(addClientOptions(program));

  program.commandsGroup('Commands:');
  registerNouns(program, context);
  registerTree(program, context);
  registerEvents(program, context);
  program.commandsGroup('Short forms:');
  registerShortForms(program, context);
  program.commandsGroup('This host and its daemon:');
  for (const register of [
    registerServe,
    registerStop,
    registerDoctor,
    registerGc,
    registerQuickstart,
    registerBench,
    registerCompletion,
  ]) {
    register(program, context);
  }
  return program;
}

/** Runs one command line (without node and script); resolves with the exit code and never rejects. */
export async function run(args: readonly string[], context: Context): Promise<number> {
  const program = buildProgram(context);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    const { exitCode, words, hint } = describeFailure(error);
    if (words !== undefined) context.io.stderr(`error: ${words}\n`);
    if (hint !== undefined) context.io.stderr(`hint: ${hint}\n`);
    return exitCode;
  }
}
