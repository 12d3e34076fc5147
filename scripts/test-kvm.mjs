/**
 * `npm run test:kvm`: what KVM has a part in, with Linux guests under KVM, also on a host without one that works: in a Debian 13 that is
 * emulated together with a processor that has virtual machines. What it shows is function, never speed.
 *
 * Arguments: parts (`native`, or test files like `vm/clock`) instead of all that are chosen for it, or `--run <command>` for a shell
 * command there.
 */
import { join } from 'node:path';
import { isMain, PROJECT_DIR, runForStatus, runMain, setup } from './setup.mjs';

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await setup({ guests: true });
    const native = await runForStatus('make', ['--silent', '-C', 'native/pager', 'for-outer-machine']);
    if (native !== 0) return 1;
    const outer = join(PROJECT_DIR, 'dist/test/kvm/run.js');
    return runForStatus(process.execPath, [outer, ...process.argv.slice(2)]);
  });
}
