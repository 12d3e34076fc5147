/**
 * `npm test [tier…]`: sets up, runs the tiers, and ends with what failed and one line: `N passed, N failed[, N skipped]`.
 * Tiers run in lanes beside each other, because a guest's test mostly waits: `vm`; `unit`, `native`, `host` and `e2e`; and
 * `chance`, which is long, from when nothing is compiled any more.
 *
 *   unit    anywhere              src/, and test/ except below
 *   native  a C compiler          make -C native/pager test, native/gate, native/agent
 *   host    userfaultfd, tmpfs    test/host
 *   vm      QEMU                  test/vm
 *   e2e     daemon, CLI, SDK      test/e2e
 *   chance  daemon                test/chance: what is done, and when it is killed, is drawn
 *   qemu10  a second QEMU         test/qemu10, only where named: see test-qemu10.mjs
 *   programs  an image of its own  test/programs, only where named
 *   images  images that come with bough, and Docker's and Podman's  test/images, only where named
 *
 * test/kvm is for test-kvm.mjs to run.
 *
 * Test files are found among the sources and run from dist/, so the compiled form of a deleted test is never
 * run. The counts are of tests that really ran, leaves only. A file that dies or a hook that fails counts as
 * a failure, and in CI so does a skip.
 */
import { spawn } from 'node:child_process';
import { join, relative } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { filesBelow, isMain, PROJECT_DIR, runForStatus, runMain, setup, SetupFailed } from './setup.mjs';

export const TIERS = {
  unit: { folders: ['src', 'test'], concurrency: 2, timeoutMs: 600_000 },
  native: { make: ['native/pager', 'native/gate', 'native/agent'], timeoutMs: 900_000 },
  host: { folders: ['test/host'], concurrency: 1, timeoutMs: 400_000 },
  vm: { folders: ['test/vm'], concurrency: 1, timeoutMs: 600_000, prepared: true },
  e2e: { folders: ['test/e2e'], concurrency: 1, timeoutMs: 1_500_000, prepared: true },
  chance: { folders: ['test/chance'], concurrency: 1, timeoutMs: 1_500_000, prepared: true },
  qemu10: { folders: ['test/qemu10'], concurrency: 1, timeoutMs: 600_000, prepared: true, named: true },
  programs: { folders: ['test/programs'], concurrency: 1, timeoutMs: 1_500_000, prepared: true, named: true },
  images: { folders: ['test/images'], concurrency: 1, timeoutMs: 3_000_000, prepared: true, named: true },
};

/** Makes what VM tests share before any test's clock runs, and gives its memory back after the last. */
const PREPARE_PATH = join(PROJECT_DIR, 'dist/test/support/prepare.js');

/** How many tests passed and were skipped, and which failed. */
export class Tally {
  passed = 0;
  skipped = 0;
  /** Where each is, its name and the first line of why. */
  failures = [];

  get failed() {
    return this.failures.length;
  }

  fail(where, name, reason) {
    this.failures.push(`${where}: ${name}: ${reason.trim().split('\n')[0]}`);
  }

  /** Counts one `test:pass` or `test:fail` event of node:test. */
  count(passed, { name, file = '', details, skip }) {
    const { type, error } = details;
    const isSuite = type === 'suite';
    const reason = String(error?.cause?.message ?? error?.message ?? error);
    if (skip !== undefined && skip !== false && !isSuite) this.skipped++;
    else if (passed) this.passed += isSuite ? 0 : 1;
    // A failed test counts by itself; what remains is the suite's own failure, such as a hook's.
    else if (!isSuite || error?.failureType !== 'subtestsFailed')
      this.fail(relative(PROJECT_DIR, file), name, reason);
  }

  /** Prints what failed, where a long output is looked at first, and the counts; returns the status to end with. */
  conclude() {
    const skipsFail = process.env.CI === 'true' && this.skipped > 0;
    if (skipsFail) console.log(`\nIn CI a skipped test is a failure: this machine lacks something.`);
    if (this.failed > 0) console.log(`\nFailed:\n  ${this.failures.join('\n  ')}`);
    console.log(`\n${this.summary()}`);
    return this.failed > 0 || this.passed === 0 || skipsFail ? 1 : 0;
  }

  summary() {
    const skipped = this.skipped === 0 ? '' : `, ${this.skipped} skipped`;
    return `${this.passed} passed, ${this.failed} failed${skipped}`;
  }
}

/** Which tier a test source belongs to, by its path from the project's root. */
export function tierOf(path) {
  const special = /^test\/(host|vm|e2e|chance|qemu10|programs|images|kvm)\//.exec(path);
  return special === null ? 'unit' : special[1];
}

function testFiles(tier) {
  const { folders } = TIERS[tier];
  return folders
    .flatMap((folder) => filesBelow(join(PROJECT_DIR, folder)))
    .map((path) => relative(PROJECT_DIR, path))
    .filter((path) => path.endsWith('.test.ts') && tierOf(path) === tier)
    .map((path) => join(PROJECT_DIR, 'dist', path.replace(/\.ts$/, '.js')));
}

/** Runs compiled test files, each in a process of its own, and counts into `tally`. */
export function runTestFiles(files, { concurrency, timeoutMs }, tally, output = process.stdout) {
  return new Promise((resolve, reject) => {
    const results = run({ files, concurrency, timeout: timeoutMs });
    results.on('test:pass', (event) => tally.count(true, event));
    results.on('test:fail', (event) => tally.count(false, event));
    const report = results.compose(new spec());
    report.once('error', reject);
    report.once('end', resolve);
    report.pipe(output, { end: false });
  });
}

/** Runs `make <target>`, shows what it prints and counts it. */
export async function runMake(folder, timeoutMs, tally, output, target = 'test') {
  const make = spawn('make', ['--silent', '-C', folder, target], {
    cwd: PROJECT_DIR,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let printed = '';
  make.stdout.setEncoding('utf8').on('data', (chunk) => (printed += chunk));
  for (const stream of [make.stdout, make.stderr]) stream.pipe(output, { end: false });
  const status = await new Promise((resolve, reject) => {
    make.once('error', reject);
    make.once('close', (code, signal) => {
      if (signal !== null)
        output.write(`make -C ${folder} ${target}: ended by ${signal} after at most ${timeoutMs / 1000} s\n`);
      resolve(code);
    });
  });
  countMake(printed, status, tally, folder);
}

/**
 * Counts what `make test` printed and how it ended: every program prints one line `<name>: …` on stdout when
 * it has passed, or `<name>: skipped: <reason>`; make stops at the first that fails.
 */
export function countMake(text, status, tally, folder) {
  const verdicts = text.match(/^(?!make\b)[\w-]+: .+$/gm) ?? [];
  const skippedCount = verdicts.filter((verdict) => /^[\w-]+: skipped\b/.test(verdict)).length;
  tally.skipped += skippedCount;
  tally.passed += verdicts.length - skippedCount;
  if (status !== 0 || verdicts.length === 0)
    tally.fail(folder, 'make', `ended with ${status} after "${verdicts.at(-1) ?? 'nothing'}"`);
}

async function runTier(tier, tally, output) {
  const { make, timeoutMs } = TIERS[tier];
  const files = make === undefined ? testFiles(tier) : [];
  output.write(`\n# ${tier}${make === undefined ? `: ${files.length} files` : ''}\n`);
  for (const folder of make ?? []) await runMake(folder, timeoutMs, tally, output);
  if (files.length > 0) await runTestFiles(files, TIERS[tier], tally, output);
}

async function runInTurn(tiers, tally) {
  for (const tier of tiers) await runTier(tier, tally, process.stdout);
}

/** The same, each printed as one piece when it has ended, so that lanes stay apart. */
async function runBeside(tiers, tally) {
  for (const tier of tiers) {
    const output = new PassThrough();
    const printed = text(output);
    await runTier(tier, tally, output);
    output.end();
    process.stdout.write(await printed);
  }
}

/** Runs the lanes to their ends, whatever becomes of one; rejects with the first reason. */
async function runTiers(tiers, tally) {
  const chosen = (...names) => tiers.filter((tier) => names.includes(tier));
  const guests = tiers.some((tier) => TIERS[tier].prepared);
  const prepared = guests ? prepare() : Promise.resolve();
  if (tiers.length === 1) await prepared.then(() => runInTurn(tiers, tally));
  else {
    const compiling = runBeside(chosen('unit', 'native'), tally);
    await allEnded([
      prepared.then(() => runInTurn(chosen('vm', 'qemu10', 'programs', 'images'), tally)),
      allEnded([prepared, compiling]).then(() => runBeside(chosen('host', 'e2e'), tally)),
      allEnded([prepared, compiling]).then(() => runBeside(chosen('chance'), tally)),
    ]);
  }
  if (guests) await prepare(['--release']);
}

async function allEnded(promises) {
  const failed = (await Promise.allSettled(promises)).find(({ status }) => status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Makes what tests with guests share; with `--release`, gives its memory back. */
export async function prepare(flags = []) {
  const status = await runForStatus(process.execPath, [PREPARE_PATH, ...flags]);
  if (status !== 0) throw new SetupFailed(`Preparing the guest image for the tests failed with ${status}`);
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    const tiers =
      process.argv.length > 2
        ? process.argv.slice(2)
        : Object.keys(TIERS).filter((tier) => !TIERS[tier].named);
    const unknown = tiers.find((tier) => !(tier in TIERS));
    if (unknown !== undefined) {
      throw new SetupFailed(`No tier "${unknown}": choose from ${Object.keys(TIERS).join(', ')}`);
    }
    const guests = tiers.some((tier) => TIERS[tier].prepared);
    await setup({ guests, tests: guests || tiers.includes('host'), engines: tiers.includes('images') });
    const tally = new Tally();
    await runTiers(tiers, tally);
    return tally.conclude();
  });
  // A test file that timed out may have left a process that still holds our event loop.
  process.exit();
}
