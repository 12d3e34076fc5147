import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServiceLog } from './service-log.js';

/** Whether the pattern is found in what is printed, which comes in these pieces. */
function finds(pattern: string, ...pieces: readonly string[]): boolean {
  const log = new ServiceLog(pattern);
  for (const piece of pieces) log.add('stdout', Buffer.from(piece));
  return log.hasMatched;
}

describe('the log of a service', () => {
  it('has a pattern where one line has all its pieces in order', () => {
    assert(finds('ready to accept', 'starting\nnow ready to accept connections\n'));
    assert(finds('ready*connections', 'ready to accept connections\n'));
    assert(!finds('ready*connections', 'connections\nready\n'));
    assert(!finds('ready*connections', 'ready\nconnections\n'));
    assert(!finds('a*a', 'xa\n'));
    assert(finds('(a+)+$', 'literally (a+)+$\n'), 'nothing but the star is special');
  });

  it('has it wherever the pieces of output are cut, and before the line has ended', () => {
    assert(finds('grün', 'gr\u00fcn'));
    const [first, second] = [Buffer.from('grün').subarray(0, 3), Buffer.from('grün').subarray(3)];
    const log = new ServiceLog('grün');
    log.add('stdout', first);
    assert(!log.hasMatched);
    log.add('stderr', Buffer.from('else'));
    log.add('stdout', second);
    assert(log.hasMatched);
  });

  it('takes an endless line in pieces, and keeps no more of it than that', () => {
    const log = new ServiceLog('b');
    for (let count = 0; count < 100; count++) log.add('stdout', Buffer.alloc(10_000, 'a'));
    assert(!log.hasMatched);
    assert.equal(log.end, 'a'.repeat(4096));
    log.add('stdout', Buffer.from('b'));
    assert(log.hasMatched);
  });

  it('gives its last lines, without what a terminal would obey', () => {
    const log = new ServiceLog();
    for (let line = 1; line <= 30; line++) log.add('stdout', Buffer.from(`line ${line}\n`));
    log.add('stderr', Buffer.from('\x1b[31mFATAL:\x07 no\tdisk\x1b[0m\r\n\n'));
    const lines = log.end.split('\n');
    assert.equal(lines.length, 20);
    assert.equal(lines[0], 'line 12');
    assert.equal(lines.at(-1), '[31mFATAL: no\tdisk[0m');
  });
});
