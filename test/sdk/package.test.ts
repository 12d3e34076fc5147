/** The package as another project has it: packed, unpacked beside that project's own modules, compiled against and run. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { PROJECT_DIR } from './doc-examples.js';

const PROGRAM = `
import { Bough, BoughApiError, Controller, type Sandbox, type Snapshot } from 'bough/sdk';
import * as whole from 'bough';

const answer: typeof fetch = () => Promise.resolve(Response.json([{ id: 's1' }], { status: 201 }));
const bough = new Bough({ url: 'http://localhost:1', fetch: answer });
const sandbox: Sandbox = await bough.spawn('base');
const listed: Promise<Snapshot[]> = new Controller({ fetch: answer }).listSnapshots();
// @ts-expect-error a tag is text
void bough.spawn(1);
// @ts-expect-error no such code
const isWrong = (error: BoughApiError): boolean => error.code === 'no_such_code';
void isWrong;
console.log(sandbox.id, (await listed).length, whole.Bough === Bough);
`;

const RESOLUTIONS = {
  NodeNext: { module: 'NodeNext', moduleResolution: 'NodeNext' },
  Bundler: { module: 'ESNext', moduleResolution: 'Bundler' },
};

describe('the package in another project', { timeout: 400_000 }, () => {
  let dir = '';
  const installedDir = (): string => join(dir, 'node_modules/bough');

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-consumer-'));
    await mkdir(installedDir(), { recursive: true });
    const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', dir];
    const { stdout } = await execa('npm', pack, { cwd: PROJECT_DIR });
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
    await execa('tar', ['-xzf', join(dir, filename), '-C', installedDir(), '--strip-components=1']);
    await writeFile(join(dir, 'package.json'), JSON.stringify({ type: 'module' }));
    await writeFile(join(dir, 'program.ts'), PROGRAM);
  });
  after(() => rm(dir, { recursive: true }));

  it('holds what runs, and no test', async () => {
    const files = await readdir(installedDir(), { recursive: true });
    const { bin, exports } = JSON.parse(await readFile(join(installedDir(), 'package.json'), 'utf8')) as {
      bin: Record<string, string>;
      exports: Record<string, string | Record<string, string>>;
    };
    const targets = [
      ...Object.values(bin),
      ...Object.values(exports).flatMap((each) => (typeof each === 'string' ? [each] : Object.values(each))),
    ];
    assert.deepEqual(
      targets.filter((target) => !files.includes(target.replace('./', ''))),
      [],
    );
    for (const library of ['pager', 'gate'])
      assert(files.includes(`native/${library}/build/lib${library}.so`), `lib${library}.so is left out`);
    assert.deepEqual(
      files.filter((name) => /\.test\.|^test\/|^dist\/test/.test(name)),
      [],
    );
  });

  it('needs no other module to run', async () => {
    await assert.rejects(readdir(join(dir, 'node_modules/zod')), { code: 'ENOENT' });
    const script = `import { Bough } from 'bough/sdk'; console.log(typeof new Bough().spawn)`;
    const { stdout } = await execa(process.execPath, ['--input-type=module', '-e', script], { cwd: dir });
    assert.equal(stdout, 'function');
  });

  for (const [name, resolution] of Object.entries(RESOLUTIONS)) {
    it(`gives its types with module resolution ${name}, and no library left unchecked`, async () => {
      // What npm would have installed with it: its types are made of zod's.
      await symlink(join(PROJECT_DIR, 'node_modules/zod'), join(dir, 'node_modules/zod')).catch(
        (error: unknown) => assert.equal((error as NodeJS.ErrnoException).code, 'EEXIST'),
      );
      const compilerOptions = {
        ...resolution,
        strict: true,
        exactOptionalPropertyTypes: true,
        target: 'ES2022',
        lib: ['ES2023', 'DOM', 'ESNext.Disposable'],
        types: [],
        skipLibCheck: false,
      };
      await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }));
      const compiled = await execa(
        process.execPath,
        [join(PROJECT_DIR, 'node_modules/typescript/lib/tsc.js'), '-p', dir],
        { reject: false },
      );
      assert.equal(compiled.stdout, '');
      const { stdout } = await execa(process.execPath, [join(dir, 'program.js')]);
      assert.equal(stdout, 's1 1 true');
    });
  }
});
