/** `bough doctor`: what this host can do, and what stands in the way. */

import { Option, type Command } from 'commander';
import { loadConfig, settings } from '../../daemon/config.js';
import type { Check } from '../../vmm/host/check.js';
import { addOutputOption, printRows, type Context } from '../context.js';
import { withExample } from '../example.js';
import { CommandEnd, exitCodes } from '../exit.js';

interface DoctorOptions {
  stateDir?: string;
  hotDir?: string;
  cacheDir?: string;
  accelerator?: string;
  qemu?: string;
}

/** Settings of the daemon's that change what is found. */
const EXAMINED = ['stateDir', 'hotDir', 'cacheDir', 'accelerator', 'qemu'] as const;

export function registerDoctor(program: Command, context: Context): void {
  const command = program.command('doctor').description('Check what this host can do. Needs no daemon.');
  for (const { flag, env, placeholder } of EXAMINED.map((name) => settings[name])) {
    command.addOption(new Option(`${flag} <${placeholder}>`, `the daemon's ${flag} (or ${env})`));
  }
  addOutputOption(command).action(async (options: DoctorOptions) => {
    const flags = Object.fromEntries(
      EXAMINED.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
    );
    const checks = await context.providers.runDoctor(loadConfig(flags, context.io.env));
    printRows<Check>(command, context, checks, [
      { title: 'STATUS', value: (check) => check.status },
      { title: 'CHECK', value: (check) => check.name },
      { title: 'FOUND', value: (check) => check.found },
    ]);
    for (const { name, remedy } of checks) {
      if (remedy !== undefined) context.io.stderr(`hint: ${name}: ${remedy}\n`);
    }
    if (checks.some(({ status }) => status === 'fail')) throw new CommandEnd(exitCodes.failed);
  });
  withExample(command, 'bough doctor');
}
