import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { circlesOf } from './circles.js';
import { folderOf, forbiddenImports, MAY_IMPORT } from './direction.js';
import { edgesOf } from './edges.js';
import { readNativeSources, readSources } from './sources.js';

const MAX_FILE_LINES = 400;

const everything = (
  await Promise.all((['src', 'test', 'scripts', 'examples'] as const).map(readSources))
).flat();

describe('architecture', () => {
  it('imports point in one direction', () => {
    assert(everything.length > 300);
    assert.deepEqual(everything.flatMap(forbiddenImports), []);
  });

  it('whatever a file imports or runs is there', () => {
    const paths = new Set(everything.map(({ path }) => path));
    const missing = everything.flatMap((file) =>
      edgesOf(file)
        .filter(({ target }) => target !== undefined && !paths.has(target))
        .map(({ target }) => `${file.path} names ${target ?? ''}, which is not there`),
    );
    assert.deepEqual(missing, []);
  });

  it('libraries of many files are loaded by the first who needs them, not by every process', () => {
    const early = /^import (?!type ).* from '(execa|undici|yaml)';$/m;
    const found = everything.filter(({ path, text }) => /^src\/(?!bench\/)/.test(path) && early.test(text));
    assert.deepEqual(
      found.map(({ path }) => path).filter((path) => !path.endsWith('.test.ts')),
      [],
    );
  });

  it('every folder has a row, and every row a folder', () => {
    const folders = new Set(everything.map(({ path }) => folderOf(path)));
    assert.deepEqual([...folders].sort(), Object.keys(MAY_IMPORT).sort());
  });

  it('no files import each other in a circle', () => {
    assert.deepEqual(circlesOf(everything), []);
  });

  it(`no source file is longer than ${MAX_FILE_LINES} lines`, async () => {
    const native = await readNativeSources();
    assert(native.length > 50);
    const tooLong = [...everything, ...native]
      .map(({ path, text }) => ({ path, lineCount: text.split('\n').length - 1 }))
      .filter(({ lineCount }) => lineCount > MAX_FILE_LINES);
    assert.deepEqual(tooLong, []);
  });
});

describe('forbiddenImports()', () => {
  const check = (path: string, specifier: string): string[] =>
    forbiddenImports({ path, text: `import { x } from '${specifier}';\nexport type Y = typeof x;\n` });

  it('names the edge that breaks the direction', () => {
    assert.deepEqual(check('src/qmp/client.ts', '../vmm/vmm.js'), [
      'src/qmp/client.ts imports ../vmm/vmm.js: src/qmp may not depend on src/vmm',
    ]);
    assert.equal(check('src/store/a.ts', '../qmp/index.js').length, 1);
    assert.equal(check('src/contract/a.ts', '../base/index.js').length, 1);
    assert.equal(check('src/cli/a.ts', '../sandbox/index.js').length, 1);
    assert.equal(check('src/bench/a.ts', '../cli/format.js').length, 1);
  });

  it('holds the direction between the rooms of src/sandbox too', () => {
    assert.deepEqual(check('src/sandbox/disk/a.ts', '../start/spawn.js'), [
      'src/sandbox/disk/a.ts imports ../start/spawn.js: room disk may not depend on room start',
    ]);
    assert.equal(check('src/sandbox/branch/a.ts', '../host/local-host.js').length, 1);
    assert.equal(check('src/sandbox/attic/a.ts', '../entity/sandbox.js').length, 1);
    assert.deepEqual(check('src/sandbox/branch/a.ts', '../host/context.js'), []);
    assert.deepEqual(check('src/sandbox/upkeep/a.ts', '../adopt/adopt.js'), []);
  });

  it('keeps Node out of what runs in a browser, and tests out of sources', () => {
    assert.equal(check('src/sdk/client.ts', 'node:fs').length, 1);
    assert.equal(check('src/qmp/client.ts', '../../test/support/fake-qmp.js').length, 1);
    assert.equal(check('src/qmp/client.test.ts', '../../test/support/fake-qmp.js').length, 0);
    assert.equal(check('src/qmp/client.test.ts', '../../test/vm/x.js').length, 1);
    assert.equal(check('test/support/a.ts', '../faults/seeded.js').length, 1);
  });

  it('lets through what the direction allows', () => {
    assert.deepEqual(check('src/daemon/a.ts', '../sandbox/host/host.js'), []);
    assert.deepEqual(check('src/vmm/process/a.ts', '../machine/machine.js'), []);
    assert.deepEqual(check('src/vmm/a.ts', 'execa'), []);
    assert.deepEqual(check('scripts/docs.mjs', '../dist/src/cli/program.js'), []);
  });

  it('sees re-exports, types, loading while it runs, and programs found by their path', () => {
    const words = (text: string): string[] => forbiddenImports({ path: 'src/vmm/a.ts', text });
    for (const text of [
      `export * from '../daemon/a.js';`,
      `import type { B } from '../daemon/a.js'; export type C = B;`,
      `export type C = import('../daemon/a.js').B;`,
      `export const a = await import('../daemon/a.js');`,
      `export const a = new URL('../daemon/a.js', import.meta.url);`,
      `export const a = await import(name);`,
      'export const a = await import(new URL(`../${name}.js`, import.meta.url).href);',
      `export const a = 'dist/src/daemon/a.js';`,
    ]) {
      assert.equal(words(text).length, 1, text);
    }
    assert.deepEqual(words(`export const a = new URL('../../../../native/a.so', import.meta.url);`), []);
    assert.deepEqual(words(`// import('../daemon/a.js')\nexport const a = "import('../daemon/a.js')";`), []);
  });
});

describe('edgesOf()', () => {
  const targets = (path: string, text: string) => edgesOf({ path, text }).map(({ target }) => target);

  it('follows a URL from the compiled file, also out of dist/', () => {
    assert.deepEqual(targets('test/vm/a.test.ts', `new URL('../../src/cli/main.js', import.meta.url)`), [
      'src/cli/main.ts',
    ]);
    assert.deepEqual(targets('test/a/b.ts', `new URL('../../../scripts/setup.mjs', import.meta.url)`), [
      'scripts/setup.mjs',
    ]);
  });
});

describe('circlesOf()', () => {
  it('finds each circle once, types included, and nothing in a line', () => {
    const file = (name: string, ...imports: string[]) => ({
      path: `src/${name}.ts`,
      text: imports.map((each) => `import type { ${each} } from './${each}.js';`).join('\n'),
    });
    const line = [file('a', 'b', 'c'), file('b', 'c'), file('c')];
    assert.deepEqual(circlesOf(line), []);
    const circles = [file('a', 'b', 'd'), file('b', 'c'), file('c', 'a'), file('d', 'e'), file('e', 'd')];
    assert.deepEqual(circlesOf(circles), [
      ['src/a.ts', 'src/b.ts', 'src/c.ts'],
      ['src/d.ts', 'src/e.ts'],
    ]);
  });

  it('does not take a program that is run for one that is imported', () => {
    const files = [
      { path: 'src/a.ts', text: `import './b.js';` },
      { path: 'src/b.ts', text: `new URL('./a.js', import.meta.url)` },
    ];
    assert.deepEqual(circlesOf(files), []);
  });
});
