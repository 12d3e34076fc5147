import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { writeTestFiles } from './fixtures.js';

interface Tally {
  readonly failures: readonly string[];
  summary(): string;
}

interface Setup {
  checkNode(version: string): void;
  checkGuestHost(uid: number | undefined, osRelease: string): void;
  readonly AMPLE_MAP_COUNT: number;
  ensureMapCount(path?: string): Promise<void>;
  missingDebianPackages(requirements: { needs: string; package: string }[]): string[];
  npmPackagesMatch(projectDir: string): boolean;
  fingerprint(projectDir: string): string;
}

interface TestRunner {
  Tally: new () => Tally;
  tierOf(path: string): string;
  countMake(text: string, status: number, tally: Tally, folder: string): void;
  runTestFiles(files: string[], tier: object, tally: Tally, output: PassThrough): Promise<void>;
}

const setup = (await import(new URL('../../../scripts/setup.mjs', import.meta.url).href)) as Setup;
const runner = (await import(new URL('../../../scripts/test.mjs', import.meta.url).href)) as TestRunner;

let dir = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bough-scripts-'));
});
after(() => rm(dir, { recursive: true }));

describe('setup', () => {
  it('names the Debian packages of what is missing, programs and files alike', () => {
    const requirements = [
      { needs: 'sh', package: 'dash' },
      { needs: 'no-such-program', package: 'one' },
      { needs: '/no/such/file', package: 'two' },
    ];
    assert.deepEqual(setup.missingDebianPackages(requirements), ['one', 'two']);
  });

  it('refuses an old Node by its version', () => {
    setup.checkNode('20.3.0');
    setup.checkNode('22.0.0');
    assert.throws(() => setup.checkNode('20.2.0'), /Node 20\.3 or newer is needed, found 20\.2\.0/);
  });

  it('names all that guests need and this host lacks: root, Debian', () => {
    setup.checkGuestHost(0, 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n');
    assert.throws(
      () => setup.checkGuestHost(1000, 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nID_LIKE=debian\n'),
      /^Error: Needed here: root, .*; Debian 12 or 13, .*\(this is Ubuntu 24\.04\)\.$/,
    );
    assert.throws(() => setup.checkGuestHost(1000, 'ID="debian"\n'), /root(?!.*Debian 12)/);
    assert.throws(() => setup.checkGuestHost(0, ''), /this is an unknown system/);
  });

  it('raises the number of mappings where it is low and may, and goes on where it may not', async () => {
    const path = join(dir, 'max_map_count');
    await writeFile(path, '65530\n');
    await setup.ensureMapCount(path);
    assert.equal(Number(await readFile(path, 'utf8')), setup.AMPLE_MAP_COUNT);
    await writeFile(path, '9999999\n');
    await setup.ensureMapCount(path);
    assert.equal(await readFile(path, 'utf8'), '9999999\n');
    await setup.ensureMapCount(join(dir, 'no-such', 'file'));
  });

  it('installs npm packages when one is absent or of another version, except optional ones', async () => {
    const project = join(dir, 'project');
    await mkdir(join(project, 'node_modules'), { recursive: true });
    const write = (path: string, packages: object): Promise<void> =>
      writeFile(join(project, path), JSON.stringify({ packages }));
    const a = { version: '1.0.0' };
    await write('package-lock.json', { '': {}, 'node_modules/a': a, 'node_modules/b': { optional: true } });
    assert.equal(setup.npmPackagesMatch(project), false);
    await write('node_modules/.package-lock.json', { 'node_modules/a': a });
    assert.equal(setup.npmPackagesMatch(project), true);
    await write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.1' } });
    assert.equal(setup.npmPackagesMatch(project), false);
  });

  it('builds again when a source was added, edited or removed', async () => {
    const project = join(dir, 'sources');
    await mkdir(join(project, 'src'), { recursive: true });
    const empty = setup.fingerprint(project);
    await writeFile(join(project, 'src/a.ts'), '1');
    const added = setup.fingerprint(project);
    await writeFile(join(project, 'src/a.ts'), '22');
    const edited = setup.fingerprint(project);
    assert.equal(new Set([empty, added, edited]).size, 3);
    assert.equal(setup.fingerprint(project), edited);
    await rm(join(project, 'src/a.ts'));
    assert.equal(setup.fingerprint(project), empty);
  });
});

describe('test runner', () => {
  it('sorts test files into tiers by folder', () => {
    assert.equal(runner.tierOf('src/qmp/client.test.ts'), 'unit');
    assert.equal(runner.tierOf('test/architecture/architecture.test.ts'), 'unit');
    assert.equal(runner.tierOf('test/vm/vmm.test.ts'), 'vm');
    assert.equal(runner.tierOf('test/chance/kills.test.ts'), 'chance');
    assert.equal(runner.tierOf('test/kvm/outer-kernel.test.ts'), 'kvm');
  });

  it('counts what really ran: leaves, crashed files, failed hooks, hanging tests', async () => {
    const files = await writeTestFiles(dir, {
      mixed: `describe('s', () => { it('a', () => {}); it('b', () => { throw new Error('b'); }); it.skip('c', () => {}); });`,
      nested: `test('parent', async (t) => { await t.test('child', () => {}); });`,
      crash: `process.exit(3);`,
      hook: `describe('s', () => { after(() => { throw new Error('hook'); }); it('d', () => {}); });`,
      hang: `test('hang', { timeout: 50 }, () => new Promise((r) => setTimeout(r, 500)));`,
    });
    const tally = new runner.Tally();
    const context = process.env['NODE_TEST_CONTEXT'];
    delete process.env['NODE_TEST_CONTEXT'];
    try {
      const output = new PassThrough().resume();
      await runner.runTestFiles(files, { concurrency: 2, timeoutMs: 20_000 }, tally, output);
    } finally {
      if (context !== undefined) process.env['NODE_TEST_CONTEXT'] = context;
    }
    // Passed: a, parent, child, d. Failed: b, the crashed file, the hook's suite, hang. Skipped: c.
    assert.equal(tally.summary(), '4 passed, 4 failed, 1 skipped');
    const told = tally.failures.join('\n');
    for (const failure of [/mixed\.test\.mjs: b: b$/m, /hook\.test\.mjs: s: hook$/m])
      assert.match(told, failure);
  });

  it('counts the native tests that passed, and a make that fails or tests nothing', () => {
    const count = (text: string, status: number): string => {
      const tally = new runner.Tally();
      runner.countMake(text, status, tally, 'native/x');
      return tally.summary();
    };
    const text = 'ram: 812 checks\nnoise\nmake: Nothing\nsweep: 9 checks\nuffd: skipped: no userfaultfd\n';
    assert.equal(count(text, 0), '2 passed, 0 failed, 1 skipped');
    assert.equal(count(text, 2), '2 passed, 1 failed, 1 skipped');
    assert.equal(count('', 0), '0 passed, 1 failed');
  });
});
