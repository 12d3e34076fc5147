import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BoundedLog } from './bounded-log.js';

describe('a bounded log', () => {
  let dir = '';
  before(() => (dir = mkdtempSync(join(tmpdir(), 'bounded-log-'))));
  after(() => rmSync(dir, { recursive: true }));

  it('keeps so many earlier files, each of so many bytes, and the latest lines', () => {
    const path = join(dir, 'log');
    const log = new BoundedLog(path, { maxBytes: 50, kept: 2 });
    for (let line = 0; line < 100; line++) log.append(`line ${line}\n`);
    log.close();
    const names = readdirSync(dir).sort();
    assert.deepEqual(names, ['log', 'log.1', 'log.2']);
    for (const name of names) assert.ok(statSync(join(dir, name)).size <= 50);
    const lines = names
      .reverse()
      .flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n').slice(0, -1));
    assert.deepEqual(
      lines,
      lines.map((_, at) => `line ${100 - lines.length + at}`),
    );
    assert.throws(() => log.append('too late\n'), /is closed/);
  });

  it('moves nothing aside that is no file', () => {
    const path = join(dir, 'device');
    symlinkSync('/dev/null', path);
    const log = new BoundedLog(path, { maxBytes: 10, kept: 1 });
    for (let line = 0; line < 10; line++) log.append('long enough\n');
    log.close();
    assert.ok(lstatSync(path).isSymbolicLink());
  });
});
