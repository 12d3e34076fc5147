/** `bough doctor`: what this host can do, what stands in the way, and with --fix a kernel that is set as it serves best. */

import { Option, type Command } from 'commander';
import type { Column } from '../../base/table.js';
import { messageOf } from '../../base/index.js';
import { settings } from '../../daemon/settings.js';
import type { Check } from '../../vmm/host/check.js';
import type { Context } from '../context.js';
import { daemonConfig } from '../daemon-config.js';
import { withExample } from '../example.js';
import { CommandEnd, exitCodes } from '../exit.js';
import { addListOptions, printRows } from '../output.js';

interface DoctorOptions {
  stateDir?: string;
  hotDir?: string;
  cacheDir?: string;
  accelerator?: string;
  qemu?: string;
  isolation?: string;
  fix?: true;
}

/** Settings of the daemon's that change what is found. */
const EXAMINED = ['stateDir', 'hotDir', 'cacheDir', 'accelerator', 'qemu', 'isolation'] as const;

const columns: readonly Column<Check>[] = [
  { title: 'STATUS', value: (check) => check.status },
  { title: 'CHECK', value: (check) => check.name },
  { title: 'FOUND', value: (check) => check.found },
];

export function registerDoctor(program: Command, context: Context): void {
  const { io, providers } = context;
  const command = program
    .command('doctor')
    .description('Check what this host can do. Needs no daemon.')
    .option('--fix', 'first set the kernel as it serves best, until the next boot; needs root');
  for (const { flag, env, placeholder } of EXAMINED.map((name) => settings[name])) {
    command.addOption(new Option(`${flag} <${placeholder}>`, `the daemon's ${flag} (or ${env})`));
  }
  addListOptions(command).action(async (options: DoctorOptions) => {
    const flags = Object.fromEntries(
      EXAMINED.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
    );
    const config = await daemonConfig(flags, io.env);
    const found = await providers.runDoctor(config);
    const isFixed = options.fix === true ? await fix(context, found) : true;
    const rows = options.fix === true ? await providers.runDoctor(config) : found;
    printRows(command, context, { rows, columns, name: ({ name }) => name });
    for (const check of rows) {
      if (check.remedy !== undefined)
        io.stderr(`hint: ${check.name}: ${check.remedy}${fixHint(check, options)}\n`);
    }
    if (!isFixed || rows.some(({ status }) => status === 'fail')) throw new CommandEnd(exitCodes.failed);
  });
  withExample(command, 'bough doctor\nbough doctor --fix');
}

/** Applies the settings of all checks that have one, and says so; false if one could not be. */
async function fix({ io, providers }: Context, checks: readonly Check[]): Promise<boolean> {
  let isFixed = true;
  for (const { name, setting } of checks) {
    if (setting === undefined) continue;
    try {
      await providers.applySetting(setting);
      io.stderr(`fixed: ${name}: wrote ${setting.value} to ${setting.path}, until the next boot\n`);
    } catch (error) {
      io.stderr(`error: ${name}: ${messageOf(error)}\n`);
      isFixed = false;
    }
  }
  return isFixed;
}

function fixHint({ setting }: Check, { fix: isFixing }: DoctorOptions): string {
  return setting === undefined || isFixing === true ? '' : '; `bough doctor --fix` does it';
}
