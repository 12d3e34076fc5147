import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { csvOf, inTurns, summaryOf, tableOf, timed } from './turns.js';

describe('inTurns()', () => {
  it('lets each way attempt once a round, and keeps a failure as a row', async () => {
    const order: string[] = [];
    const ways = {
      a: () => Promise.resolve(order.push('a')),
      b: () => {
        order.push('b');
        return order.length > 2 ? Promise.reject(new Error('broke')) : Promise.resolve(7);
      },
    };
    const rounds: number[] = [];
    const turns = await inTurns(2, ways, (round) => rounds.push(round));
    assert.deepEqual(
      [order, rounds],
      [
        ['a', 'b', 'a', 'b'],
        [1, 2],
      ],
    );
    assert.deepEqual(turns.slice(1), [
      { way: 'b', round: 1, ms: 7 },
      { way: 'a', round: 2, ms: 3 },
      { way: 'b', round: 2, error: 'broke' },
    ]);
    assert.deepEqual([summaryOf(turns, 'a')?.max, summaryOf(turns, 'b')?.failed], [3, 1]);
    const { columns, rows } = tableOf('t', turns, { column: 'twice', cell: ({ first }) => 2 * first });
    assert.deepEqual(columns.slice(0, 3), ['way', 'twice', 'n']);
    assert.deepEqual(
      rows.map((row) => row.slice(0, 4)),
      [
        ['a', 2, 2, 0],
        ['b', 14, 2, 1],
      ],
    );
    assert.equal(csvOf(turns).rows.length, 4);
  });
});

describe('timed()', () => {
  it('rejects with what its work fails with', async () => {
    await assert.rejects(
      timed(() => Promise.reject(new Error('no'))),
      { message: 'no' },
    );
  });
});
