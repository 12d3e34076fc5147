import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EventRing, type RingReader } from './event-ring.js';

const { signal } = new AbortController();

/** What a reader gets without waiting: events, and how many are missing. */
async function rest(reader: RingReader<number>): Promise<{ got: unknown[]; last: string }> {
  const got: unknown[] = [];
  for (let last = ''; ;) {
    const found = await reader.next(0, signal);
    if (found === undefined) return { got, last };
    last = found.id;
    got.push('event' in found ? found.event : { missed: found.missed });
  }
}

function ringOf(size: number, count: number): EventRing<number> {
  const ring = new EventRing<number>(size);
  for (let event = 1; event <= count; event++) ring.push(event);
  return ring;
}

describe('EventRing', () => {
  it('gives what happens from now on, or all that is kept', async () => {
    const ring = ringOf(4, 2);
    const reader = ring.reader(undefined);
    assert.deepEqual((await rest(reader)).got, []);
    ring.push(3);
    assert.deepEqual((await rest(reader)).got, [3]);
    assert.deepEqual((await rest(ring.reader('oldest'))).got, [1, 2, 3]);
  });

  it('goes on after any event, each once', async () => {
    const ring = ringOf(8, 3);
    const { last } = await rest(ring.reader('oldest'));
    ring.push(4);
    assert.deepEqual((await rest(ring.reader(last))).got, [4]);
  });

  it('says how many are missing to who comes too late, and where to go on', async () => {
    const ring = ringOf(4, 2);
    const { last } = await rest(ring.reader('oldest'));
    for (let event = 3; event <= 9; event++) ring.push(event);
    const { got } = await rest(ring.reader(last));
    assert.deepEqual(got, [{ missed: 3 }, 6, 7, 8, 9]);
    const slow = ring.reader('oldest');
    await slow.next(0, signal);
    for (let event = 10; event <= 15; event++) ring.push(event);
    assert.deepEqual((await rest(slow)).got, [{ missed: 5 }, 12, 13, 14, 15]);
  });

  it('says that it cannot know how many, for an id of an earlier daemon or of nobody', async () => {
    const { last } = await rest(ringOf(4, 2).reader('oldest'));
    const ring = ringOf(4, 1);
    for (const id of [last, 'x', '', '-', `${last.split('-')[0] ?? ''}-99`, '\u0000', 'a-b'])
      assert.deepEqual((await rest(ring.reader(id))).got, [{ missed: null }, 1], id);
    const { last: own } = await rest(ring.reader('oldest'));
    assert.deepEqual((await rest(ring.reader(own.replace(/\d+$/, '99')))).got, [{ missed: null }, 1]);
  });

  it('wakes who waits, and nobody whose signal has fired', async () => {
    const ring = ringOf(4, 0);
    const waiting = ring.reader(undefined).next(60_000, signal);
    ring.push(1);
    assert.equal((await waiting)?.id.endsWith('-1'), true);
    const left = new AbortController();
    const leaving = ring.reader(undefined).next(60_000, left.signal);
    left.abort();
    assert.equal(await leaving, undefined);
  });
});
