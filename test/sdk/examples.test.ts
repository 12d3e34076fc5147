import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import ts from 'typescript';
import { Events } from '../../src/contract/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve } from '../../src/daemon/serve.js';
import { silent } from '../daemon/support.js';
import { documentedIn, ExamplePrograms, PROJECT_DIR } from './doc-examples.js';
import { exampleHost } from './example-guest.js';

const SDK_DIR = join(PROJECT_DIR, 'src/sdk');

const files = (await readdir(SDK_DIR)).filter((name) => name.endsWith('.ts') && name !== 'index.ts');
const declared = (
  await Promise.all(
    files.map(async (name) => documentedIn(name, await readFile(join(SDK_DIR, name), 'utf8'))),
  )
).flat();
const exportedNames = await namesIn(join(SDK_DIR, 'index.ts'));
const ofExported = declared.filter(({ subject }) => exportedNames.includes(subject.split('.')[0] ?? ''));
const examples = ofExported.flatMap(({ example }) => (example === undefined ? [] : [example]));

/** The names that a file of nothing but `export … from` exports. */
async function namesIn(path: string): Promise<string[]> {
  const file = ts.createSourceFile(path, await readFile(path, 'utf8'), ts.ScriptTarget.Latest);
  return file.statements.flatMap((node) =>
    ts.isExportDeclaration(node) && node.exportClause !== undefined && ts.isNamedExports(node.exportClause)
      ? node.exportClause.elements.map(({ name }) => name.text)
      : [],
  );
}

describe('the examples in the SDK', () => {
  let programs: ExamplePrograms;
  before(async () => {
    programs = await ExamplePrograms.compile(examples, exportedNames);
  });
  after(() => programs.remove());

  it('stand at every exported class, interface and method', () => {
    assert(examples.length > 30);
    const exemplified = new Set(examples.map(({ subject }) => subject));
    // Each method of Controller is its namesake's, under the name that older programs have for it.
    const without = ofExported.filter(
      ({ subject }) => !exemplified.has(subject) && !subject.startsWith('Controller.'),
    );
    assert.deepEqual(
      without.map(({ subject }) => subject),
      [],
    );
  });

  it('compile without a cast, with the strictest settings', () => {
    assert.deepEqual(programs.problems, []);
    assert.deepEqual(
      examples.filter(({ code }) => / as (?!const)|<any>|!\.|@ts-/.test(code)).map(({ subject }) => subject),
      [],
    );
  });

  for (const [index, { subject, printed }] of examples.entries()) {
    it(`${subject} prints what it says`, async (t) => {
      const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});
      const events = new Events();
      const daemon = await serve(config, exampleHost(events), { log: silent, drainMs: 20, events });
      t.after(() => daemon.close());
      assert.equal(await programs.run(index, daemon.address), printed.join('\n'));
    });
  }

  it('leave nothing that goes on', { timeout: 60_000 }, () => programs.end());
});

describe('documentedIn()', () => {
  it('finds what is exported, with its example and what that prints', () => {
    const found = documentedIn(
      'a.ts',
      `/** A. @example\n * \`\`\`ts\n * console.log(1); // 1\n * console.log(2);\n * \`\`\`\n */\nexport interface A {}
       /** Not exported. */ interface B {}
       /** @internal */ export class C { /** @internal */ d(): void {} #e(): void {} }`,
    );
    assert.deepEqual(
      found.map(({ subject, example }) => [subject, example?.printed]),
      [
        ['A', ['1', '(the example does not say)']],
        ['C', undefined],
        ['C.d', undefined],
      ],
    );
  });
});
