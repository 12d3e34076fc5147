/** `bough doctor`: what this host can do, and what stands in the way. */

import type { Command } from 'commander';
import { addOutputOption, printRows, type Context } from '../context.js';
import { withExample } from '../example.js';
import { CommandEnd, exitCodes } from '../exit.js';
import type { DoctorCheck } from '../providers.js';

export function registerDoctor(program: Command, context: Context): void {
  const command = program.command('doctor').description('Check what this host can do. Needs no daemon.');
  addOutputOption(command).action(async () => {
    const checks = await context.providers.runDoctor();
    printRows<DoctorCheck>(command, context, checks, [
      { title: 'STATUS', value: (check) => check.status },
      { title: 'CHECK', value: (check) => check.name },
      { title: 'FOUND', value: (check) => check.found },
    ]);
    for (const { name, hint } of checks) {
      if (hint !== undefined) context.io.stderr(`hint: ${name}: ${hint}\n`);
    }
    if (checks.some(({ status }) => status === 'fail')) throw new CommandEnd(exitCodes.failed);
  });
  withExample(command, 'bough doctor');
}
