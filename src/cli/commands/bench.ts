/** `bough bench`: what branching costs on this host, next to what stock QEMU offers. */

import { Argument, InvalidArgumentError, type Command } from 'commander';
import { writeFile } from 'node:fs/promises';
import {
  benchmarkNames,
  ownModes,
  pauseModes,
  stockModes,
  type BenchmarkName,
  type PauseMode,
  type RunBench,
} from '../../bench/request.js';
import { nameArgument, wholeNumber } from '../arguments.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { daemonConfig } from '../daemon-config.js';
import { addOutputOption, printAsData } from '../output.js';
import { withExample } from '../example.js';
import { CommandEnd, exitCodes, UsageError } from '../exit.js';
import { untilInterrupted } from '../interrupt.js';
import { startThrowawayDaemon } from '../own-daemon.js';

interface BenchOptions {
  sourceTag: string;
  image?: string;
  iterations?: number;
  modes?: PauseMode[];
  probes?: boolean;
  dirtyMibPerS?: number;
  outCsv?: string;
  strict?: boolean;
  cacheDir?: string;
}

/** Loaded when they are to run: they bring a VM's machinery with them. */
async function loadBench(): Promise<RunBench> {
  return (await import('../../bench/index.js')).runBench;
}

export function registerBench(
  program: Command,
  context: Context,
  load: () => Promise<RunBench> = loadBench,
): void {
  const command = program
    .command('bench')
    .description(
      'Measure branching on this host, against a daemon of its own unless one is named. Without a name: everything, with a report.',
    )
    .addArgument(new Argument('[name]', 'one benchmark').choices(benchmarkNames))
    .option('--source-tag <tag>', 'the snapshot sources start from', nameArgument, 'python-numpy')
    .option('--image <name>', 'image to make it from where it is missing (default: as the tag)')
    .option('--iterations <n>', 'rows of each mode', wholeNumber(1, 10_000))
    .option('--modes <list>', `for pause, of ${pauseModes.join(', ')} (default: all but control)`, modeList)
    .option('--probes', 'for pause: watch from inside the guest and over TCP too')
    .option('--dirty-mib-per-s <n>', 'for pause: keep a writer busy in the guest', wholeNumber(1, 100_000))
    .option('--out-csv <file>', "write one benchmark's rows to a file")
    .option('--strict', 'fail when a promised ratio is missed')
    .option('--cache-dir <dir>', "the daemon's --cache-dir (or BOUGH_CACHE_DIR)");
  addOutputOption(addClientOptions(command, 'default: one of its own')).action(
    async (benchmark: BenchmarkName | undefined, options: BenchOptions) => {
      const { io } = context;
      const { outCsv } = options;
      if (outCsv !== undefined && benchmark === undefined) {
        throw new UsageError('--out-csv needs the name of one benchmark; all of them write a report');
      }
      const { cacheDir, qemuPath, accelerator } = await daemonConfig(
        options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir },
        io.env,
      );
      const runBench = await load();
      const outcome = await untilInterrupted(async (signal) =>
        runBench({
          benchmark,
          sourceTag: options.sourceTag,
          image: options.image ?? options.sourceTag,
          iterations: options.iterations,
          modes: options.modes ?? [...ownModes, ...stockModes],
          probes: options.probes ?? false,
          dirtyMiBPerSecond: options.dirtyMibPerS ?? 0,
          cacheDir,
          qemuPath,
          accelerator,
          daemon: namesDaemon(command, context) ? await clientFor(command, context) : undefined,
          startDaemon: (daemonOptions) => startThrowawayDaemon(cacheDir, io.env, daemonOptions),
          signal,
          say: (words) => io.stderr(`${words}\n`),
        }),
      );
      if (outCsv !== undefined) await writeFile(outCsv, outcome.csv ?? '');
      if (!printAsData(command, context, outcome.json)) io.stdout(outcome.text);
      if (outcome.reportPath !== undefined) io.stderr(`report: ${outcome.reportPath}\n`);
      if (options.strict === true && outcome.missed) throw new CommandEnd(exitCodes.failed);
    },
  );
  withExample(
    command,
    'bough bench pause --iterations 10 --modes live-sync,live-async,diff,full --out-csv pause.csv',
  );
}

/** Parses `--modes`: a comma-separated list, each mode once. */
function modeList(text: string): PauseMode[] {
  const modes = text.split(',').map((word) => {
    const mode = pauseModes.find((each) => each === word);
    if (mode === undefined) throw new InvalidArgumentError(`It must be a list of ${pauseModes.join(', ')}.`);
    return mode;
  });
  if (new Set(modes).size < modes.length) throw new InvalidArgumentError('It names a mode twice.');
  return modes;
}

function namesDaemon(command: Command, { io }: Context): boolean {
  const url = command.optsWithGlobals<{ url?: string }>().url ?? io.env['BOUGH_URL'] ?? '';
  return url !== '';
}
