import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatCsv } from './csv.js';

describe('formatCsv()', () => {
  it('keeps the order of the columns and leaves absent cells empty', () => {
    const rows = [{ b: 'x', a: 1 }, { a: 0.123456789 }];
    assert.equal(formatCsv(['a', 'b'], rows), 'a,b\n1,x\n0.1235,\n');
  });

  it('quotes what would break a line', () => {
    assert.equal(formatCsv(['a'], [{ a: 'say "no", twice\n' }]), 'a\n"say ""no"", twice\n"\n');
  });

  it('writes the header for no rows', () => {
    assert.equal(formatCsv(['a', 'b'], []), 'a,b\n');
  });
});
