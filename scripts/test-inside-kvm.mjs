/**
 * What `npm run test:kvm` runs inside the outer machine, where nothing is built: the pager's own tests that depend on the kernel and
 * on KVM, the VM tests of what KVM has a part in, and those that are about KVM. Ends like `npm test`.
 *
 * Strictly one after another: a guest of an emulated KVM is slow enough alone.
 */
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { PROJECT_DIR, runMain } from './setup.mjs';
import { prepare, runMake, runTestFiles, Tally, TIERS } from './test.mjs';

/** The pager's part of it, where test files are named. */
const NATIVE = 'native';
/** The kernel last: it looks at what the others did to it. */
const ALL = [
  NATIVE,
  'kvm/guest-under-kvm',
  'kvm/two-processors',
  'vm/branch',
  'vm/exactness',
  'vm/daemon-killed',
  'vm/memory-limit',
  'kvm/outer-kernel',
];
/** Parts that need no warm guest to start from. */
const WITHOUT_TEMPLATE = [NATIVE, 'kvm/outer-kernel'];
const FACTOR = Number(process.env.BOUGH_TIME_FACTOR);

async function runPart(part, tally) {
  if (part === NATIVE) {
    const limitMs = TIERS.native.timeoutMs * FACTOR;
    return runMake('native/pager', limitMs, tally, process.stdout, 'inside-outer-machine');
  }
  const file = join(PROJECT_DIR, `dist/test/${part}.test.js`);
  return runTestFiles([file], { concurrency: 1, timeoutMs: TIERS.vm.timeoutMs * FACTOR }, tally);
}

await runMain(async () => {
  const parts = process.argv.length > 2 ? process.argv.slice(2) : ALL;
  const tally = new Tally();
  let prepared = false;
  for (const part of parts) {
    if (!prepared && !WITHOUT_TEMPLATE.includes(part)) {
      await prepare();
      prepared = true;
    }
    const startedMs = performance.now();
    console.log(`\n# ${part}`);
    await runPart(part, tally);
    console.log(
      `# ${part}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s here, which is no measure of speed`,
    );
  }
  return tally.conclude();
});
// A test file that timed out may have left a process that still holds our event loop.
process.exit();
