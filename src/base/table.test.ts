import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatTable, plainText } from './table.js';

describe('formatTable()', () => {
  it('aligns columns, shows the unknown as "-", and lets nothing through that moves the cursor', () => {
    const rows = [
      { name: 'a\x1b[2J\nb', size: '1 B' },
      { name: undefined, size: '100 B' },
    ];
    const table = formatTable(rows, [
      { title: 'NAME', value: (row) => row.name },
      { title: 'SIZE', value: (row) => row.size, align: 'right' },
    ]);
    assert.equal(table, 'NAME      SIZE\na?[2J?b    1 B\n-        100 B\n');
    assert.equal(plainText('a\r\n\tb\x9b2J'), 'a?\n\tb?2J');
  });
});
