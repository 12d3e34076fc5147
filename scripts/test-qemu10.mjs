/**
 * `npm run test:qemu10`: the VM tests with Debian 13's QEMU, on whatever Debian this is, and what its snapshots are to another QEMU.
 * That QEMU is unpacked into the cache folder, not installed. Arguments name other tiers than these.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { isMain, PROJECT_DIR, runForStatus, runMain, setup } from './setup.mjs';

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await setup({ guests: true });
    const tree = join(PROJECT_DIR, 'dist/test/kvm/qemu.js');
    const qemu = execFileSync(process.execPath, [tree], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    process.env.BOUGH_QEMU = qemu;
    const tiers = process.argv.length > 2 ? process.argv.slice(2) : ['vm', 'qemu10'];
    return runForStatus(process.execPath, [join(PROJECT_DIR, 'scripts/test.mjs'), ...tiers]);
  });
}
