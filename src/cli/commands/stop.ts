/** `bough stop`: ends the daemon of a state folder, politely, and waits until it has ended. */

import type { Command } from 'commander';
import { settings } from '../../daemon/settings.js';
import { duration } from '../arguments.js';
import type { Context } from '../context.js';
import { daemonConfig } from '../daemon-config.js';
import { withExample } from '../example.js';
import { NoDaemon } from '../exit.js';

const DEADLINE_SECS = 60;

interface StopOptions {
  stateDir?: string;
  timeout: number;
}

export function registerStop(program: Command, { io, providers }: Context): void {
  const { flag, placeholder, env } = settings.stateDir;
  const command = program
    .command('stop')
    .description('Stop the daemon on this machine and wait until it has ended; sandboxes run on.')
    .option(`${flag} <${placeholder}>`, `the daemon's ${flag} (or ${env})`)
    .showHelpAfterError(
      'hint: it stops the daemon; `bough rm <id>` ends a sandbox, and `bough pause <id>` lets it stand still',
    )
    .option('--timeout <duration>', `how long to wait (default ${DEADLINE_SECS}s)`, duration, DEADLINE_SECS)
    .action(async ({ stateDir: given, timeout }: StopOptions) => {
      const { stateDir } = await daemonConfig(given === undefined ? {} : { stateDir: given }, io.env);
      const pid = await providers.stopDaemon(stateDir, timeout * 1000);
      if (pid === undefined) throw new NoDaemon(stateDir);
      io.stderr(
        `stopped the daemon (process ${pid}); its sandboxes run on, and the next daemon takes them over\n`,
      );
    });
  withExample(command, 'bough stop');
}
