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

  it('is settled while it is empty', () => new WorkSet().settled());
});
