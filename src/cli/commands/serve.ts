/** `bough serve`: the daemon, in the foreground. */

import { Option, type Command } from 'commander';
import { compact } from '../../base/index.js';
import { settings, type SettingName } from '../../daemon/settings.js';
import type { Context } from '../context.js';
import { withExample } from '../example.js';

export function registerServe(program: Command, { io, providers }: Context): void {
  const command = program
    .command('serve')
    .description(
      'Run the daemon, in the foreground, until `bough stop`, Ctrl-C or SIGTERM; sandboxes outlive it.',
    );
  for (const { flag, env, placeholder, summary } of Object.values(settings)) {
    command.addOption(new Option(`${flag} <${placeholder}>`, `${summary}; or ${env}`));
  }
  command.action(async (flags: Partial<Record<SettingName, string>>) => {
    // A token file given before the command is meant for this daemon too.
    const { tokenFile } = program.opts<{ tokenFile?: string }>();
    await providers.runDaemon({ ...compact({ tokenFile }), ...flags }, io.env, ({ address, stateDir }) => {
      // Whoever reads the log with a program gets nothing but the log.
      if (io.isTerminal)
        io.stderr(`bough listens on ${address}; stop it: bough stop --state-dir ${stateDir}\n`);
    });
  });
  withExample(command, 'bough serve --state-dir /srv/bough --log-level debug');
}
