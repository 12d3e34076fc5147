import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deferred } from './deferred.js';
import { DeadlineExceeded, monotonicMs, sleep, withDeadline } from './time.js';

describe('sleep()', () => {
  it('rejects with the reason of its signal, before and during the wait', async () => {
    await assert.rejects(sleep(60_000, AbortSignal.abort(new Error('before'))), /before/);
    const controller = new AbortController();
    const sleeping = sleep(60_000, controller.signal);
    controller.abort(new Error('during'));
    await assert.rejects(sleeping, /during/);
  });

  it('waits about as long as asked', async () => {
    const before = monotonicMs();
    await sleep(20);
    assert(monotonicMs() - before >= 18);
  });
});

describe('withDeadline()', () => {
  it('names what was late', async () => {
    await assert.rejects(withDeadline(new Deferred<void>().promise, 5, 'The test'), (error: unknown) => {
      assert(error instanceof DeadlineExceeded);
      assert.equal(error.message, 'The test did not finish within 5 ms');
      return true;
    });
  });

  it('passes results and errors through', async () => {
    assert.equal(await withDeadline(Promise.resolve(1), 1000, 'x'), 1);
    await assert.rejects(withDeadline(Promise.reject(new Error('own')), 1000, 'x'), /own/);
  });
});
