import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { forbiddenImports, readSources } from './imports.js';

const PROJECT_DIR = join(import.meta.dirname, '../../..');
const MAX_FILE_LINES = 400;

describe('architecture', () => {
  it('imports point in one direction', async () => {
    const sources = await readSources(PROJECT_DIR, 'src');
    assert(sources.length > 10);
    assert.deepEqual(sources.flatMap(forbiddenImports), []);
  });

  it(`no source file is longer than ${MAX_FILE_LINES} lines`, async () => {
    const folders = await Promise.all(['src', 'test'].map((each) => readSources(PROJECT_DIR, each)));
    const tooLong = folders
      .flat()
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
      'src/qmp/client.ts imports ../vmm/vmm.js: qmp may not depend on vmm',
    ]);
    assert.equal(check('src/store/a.ts', '../qmp/index.js').length, 1);
    assert.equal(check('src/contract/a.ts', '../base/index.js').length, 1);
    assert.equal(check('src/cli/a.ts', '../sandbox/index.js').length, 1);
  });

  it('keeps Node out of what runs in a browser, and tests out of sources', () => {
    assert.equal(check('src/sdk/client.ts', 'node:fs').length, 1);
    assert.equal(check('src/qmp/client.ts', '../../test/support/fake-qmp.js').length, 1);
    assert.equal(check('src/qmp/client.test.ts', '../../test/support/fake-qmp.js').length, 0);
  });

  it('lets through what the direction allows, and sees re-exports and types too', () => {
    assert.deepEqual(check('src/daemon/a.ts', '../sandbox/index.js'), []);
    assert.deepEqual(check('src/vmm/a.ts', './machine.js'), []);
    assert.deepEqual(check('src/vmm/a.ts', 'execa'), []);
    const text = `export * from '../daemon/a.js';\nimport type { B } from '../cli/b.js';\nexport type C = B;`;
    assert.equal(forbiddenImports({ path: 'src/vmm/a.ts', text }).length, 2);
  });
});
