import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Bough } from '../../src/sdk/index.js';
import { ConnectionState, PortConnection } from '../../src/sdk/port-connection.js';
import { PROJECT_DIR } from './doc-examples.js';

const page = await readFile(join(PROJECT_DIR, 'docs/guide/typescript.md'), 'utf8');
const bough = new Bough({ url: 'http://localhost' });
const sandbox = bough.sandbox('a');
const connection = new PortConnection(new ConnectionState({ url: '' }));

/** How a row of the page's table begins, and whose methods it lists, all of them. */
const rows: readonly [begin: string, ...holders: object[]][] = [
  ['`bough.spawn`, ', bough, sandbox],
  ['`sandbox.processes`', sandbox.processes, sandbox.processes.of(1)],
  ['`sandbox.files`', sandbox.files],
  ['`sandbox.ports`', sandbox.ports, connection],
  ['`sandbox.network`', sandbox.network],
  ['`sandbox.timeline`', sandbox.timeline],
  ['`bough.snapshots`', bough.snapshots],
  ['`bough.secrets`', bough.secrets],
  ['`bough` itself', bough],
  ['`bough.transport`', bough.transport],
];

const methodsOf = (holder: object): string[] =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(holder)).filter((name) => name !== 'constructor');

describe('the guide to the SDK', () => {
  it('tells only of methods that there are', () => {
    for (const [begin, ...holders] of rows) {
      const known = new Set(holders.flatMap(methodsOf));
      assert.deepEqual(
        told(begin).filter((name) => !known.has(name)),
        [],
        begin,
      );
    }
  });

  it('tells of every method', () => {
    const all = new Set(['spawn', ...rows.flatMap(([begin]) => told(begin))]);
    const methods = rows.flatMap(([, ...holders]) => holders.flatMap(methodsOf));
    assert.deepEqual(
      methods.filter((name) => !all.has(name)),
      [],
    );
  });
});

/** The methods that a row tells of: what stands in backquotes, apart from what it begins with and names of classes. */
function told(begin: string): string[] {
  const row = page.split('\n').find((line) => line.startsWith(`| ${begin}`));
  assert(row, `no row begins with ${begin}`);
  return [...row.slice(begin.length).matchAll(/`([a-z]\w*)(?:\(\w+\))?`/g)].map(([, name = '']) => name);
}
