/**
 * `npm run soak -- --minutes N [--seed S] [--warm-vmms N] [--checkpoints]`: sets up what is missing, then runs
 * test/faults/soak.ts with the same arguments.
 */
import { join } from 'node:path';
import { PROJECT_DIR, runForStatus, runMain, setup } from './setup.mjs';

await runMain(async () => {
  await setup();
  return runForStatus(process.execPath, [
    join(PROJECT_DIR, 'dist/test/faults/soak.js'),
    ...process.argv.slice(2),
  ]);
});
