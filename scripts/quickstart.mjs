/**
 * From a fresh checkout to a branched sandbox: sets up what is missing, then runs `bough quickstart` with the
 * same arguments.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { PROJECT_DIR, runMain, setup } from './setup.mjs';

const CLI_PATH = join(PROJECT_DIR, 'dist/src/cli/main.js');
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

await runMain(async () => {
  await setup({ guests: true });
  const cli = spawn(process.execPath, [CLI_PATH, 'quickstart', ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of SIGNALS) process.on(signal, () => cli.kill(signal));
  return new Promise((resolve, reject) => {
    cli.once('error', reject);
    cli.once('exit', (code, signal) => resolve(signal === null ? code : 128 + constants.signals[signal]));
  });
});
