import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ConnectionLog } from './log.js';

describe('a log of connections', () => {
  let dir = '';
  before(() => (dir = mkdtempSync(join(tmpdir(), 'connection-log-'))));
  after(() => rmSync(dir, { recursive: true }));

  const linesIn = (path: string): number[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { port: number }).port);

  it('is begun anew before it is too long, keeps what it was once, and loses no line between', () => {
    const path = join(dir, 'rotated');
    const log = new ConnectionLog(path, 4096);
    for (let port = 0; port < 100; port++) assert(log.write({ kind: 'tcp', port }));
    log.close();
    assert.deepEqual(readdirSync(dir).sort(), ['rotated', 'rotated.1']);
    for (const each of [path, `${path}.1`]) {
      assert(statSync(each).size <= 4096);
      assert.equal(statSync(each).mode & 0o777, 0o600);
    }
    const kept = [...linesIn(`${path}.1`), ...linesIn(path)];
    assert.deepEqual(
      kept,
      kept.map((_, at) => 100 - kept.length + at),
    );
    assert(kept.length > 40);
  });

  it('goes on in what an earlier process has written, and counts that', () => {
    const path = join(dir, 'taken-up');
    writeFileSync(path, 'x'.repeat(4090));
    const log = new ConnectionLog(path, 4096);
    assert(log.write({ kind: 'dns', port: 1 }));
    log.close();
    assert.deepEqual(linesIn(path), [1]);
    assert.equal(log.write({ kind: 'dns', port: 2 }), false);
  });

  it('says that a line is not there when it cannot be begun anew, and is well again when it can', () => {
    const folder = mkdtempSync(join(dir, 'folder-'));
    const path = join(folder, 'log');
    const log = new ConnectionLog(path, 100);
    assert(log.write({ kind: 'dns', port: 1 }));
    rmSync(folder, { recursive: true });
    assert.equal(log.write({ kind: 'dns', port: 2 }), false);
    assert.equal(log.write({ kind: 'dns', port: 3 }), false);
    mkdirSync(folder);
    assert(log.write({ kind: 'dns', port: 4 }));
    assert.deepEqual(linesIn(path), [4]);
    log.close();
  });
});
