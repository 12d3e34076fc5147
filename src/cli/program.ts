/** The whole command line as one commander program: what runs, and what docs/reference/cli.md is made from. */

import { Command } from 'commander';
import { version } from '../daemon/version.js';
import { registerBench } from './commands/bench.js';
import { registerBranch } from './commands/branch.js';
import { registerDoctor } from './commands/doctor.js';
import { registerEval } from './commands/eval.js';
import { registerExec } from './commands/exec.js';
import { registerFork } from './commands/fork.js';
import { registerGc } from './commands/gc.js';
import { registerImage } from './commands/image.js';
import { registerLs } from './commands/ls.js';
import { registerQuickstart } from './commands/quickstart.js';
import { registerRm } from './commands/rm.js';
import { registerServe } from './commands/serve.js';
import { registerSnapshot } from './commands/snapshot.js';
import { registerSnapshots } from './commands/snapshots.js';
import { registerSpawn } from './commands/spawn.js';
import { registerStop } from './commands/stop.js';
import { registerTimeout } from './commands/timeout.js';
import { addClientOptions, addOutputOption, type Context } from './context.js';
import { describeFailure, usageHint } from './exit.js';

/** Builds the program; commands print through `context.io` and throw what run() below turns into an exit code. */
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

  for (const register of [
    registerQuickstart,
    registerServe,
    registerStop,
    registerDoctor,
    registerImage,
    registerSnapshot,
    registerSnapshots,
    registerSpawn,
    registerLs,
    registerExec,
    registerEval,
    registerBranch,
    registerFork,
    registerTimeout,
    registerRm,
    registerGc,
    registerBench,
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
