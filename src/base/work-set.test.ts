import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deferred } from './deferred.js';
import { WorkSet } from './work-set.js';

describe('WorkSet', () => {
  it('waits for what is under way and for what is added meanwhile, whatever fails', async () => {
    const works = new WorkSet();
    const [first, second] = [new Deferred<void>(), new Deferred<void>()];
    works.add(first.promise);
    let isSettled = false;
    const settled = works.settled().then(() => (isSettled = true));
    works.add(second.promise);
    assert.equal(works.size, 2);
    first.reject(new Error('no luck'));
    await new Promise(setImmediate);
    assert.deepEqual([works.size, isSettled], [1, false]);
    second.resolve();
    await settled;
    assert.equal(works.size, 0);
  });

  it('waits once for all who ask, and anew for who asks when that is over', async () => {
    const works = new WorkSet();
    const [first, second] = [new Deferred<void>(), new Deferred<void>()];
    works.add(first.promise);
    const settled = works.settled();
    assert.equal(works.settled(), settled);
    first.resolve();
    await settled;
    works.add(second.promise);
    let isSettled = false;
    const again = works.settled().then(() => (isSettled = true));
    await new Promise(setImmediate);
    assert(!isSettled);
    second.resolve();
    await again;
  });

  it('is settled while it is empty', () => new WorkSet().settled());
});
