import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';
import { abortReason, orAborted } from './abort.js';
import { Deferred } from './deferred.js';

describe('orAborted()', () => {
  it('passes results and errors through, and leaves no listener', async () => {
    const { signal } = new AbortController();
    assert.equal(await orAborted(Promise.resolve(1), signal), 1);
    await assert.rejects(orAborted(Promise.reject(new Error('own')), signal), /own/);
    assert.equal(await orAborted(Promise.resolve(2), undefined), 2);
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });

  it('rejects with the reason of its signal, before and during the wait; the work may fail later', async () => {
    const work = new Deferred<void>();
    await assert.rejects(orAborted(work.promise, AbortSignal.abort(new Error('before'))), /before/);
    const controller = new AbortController();
    const waiting = orAborted(work.promise, controller.signal);
    controller.abort(new Error('during'));
    await assert.rejects(waiting, /during/);
    assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
    work.reject(new Error('nobody is there to see it'));
    await new Promise(setImmediate);
  });
});

describe('abortReason()', () => {
  it('is an Error, whatever it was aborted with', () => {
    const own = new Error('own');
    assert.equal(abortReason(AbortSignal.abort(own)), own);
    assert.equal(abortReason(AbortSignal.abort('text')).cause, 'text');
  });
});
