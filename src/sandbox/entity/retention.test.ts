import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../../test/support/fake-clock.js';
import { isBoughError } from '../../contract/index.js';
import type { SnapshotView } from '../../store/index.js';
import { CLOCK_GRACE_MS } from './lifetime.js';
import { retentionOf, SnapshotExpiry } from './retention.js';

const DAY_SECS = 86_400;

function aView(id: string, expiresAtUnix?: number): SnapshotView {
  return {
    ...{ id, tag: id, dir: '/', createdAtUnix: 0, status: 'ready', bootable: true, durable: true, hot: true },
    ...(expiresAtUnix === undefined ? {} : { retention: { expiresAtUnix } }),
  };
}

describe('the retention of a request', () => {
  it('is none without a rule', () => {
    assert.equal(retentionOf({}, 3), undefined);
  });

  it('holds a moment, and the number of the branch for keep_last', () => {
    const clock = new FakeClock();
    assert.deepEqual(retentionOf({ expiresInMs: 60_000 }, 3, clock), { expiresAtUnix: clock.unixSecs + 60 });
    assert.deepEqual(retentionOf({ keepLast: 2 }, 3, clock), { keepLast: 2, ordinal: 3 });
  });

  it('cannot end in the past', () => {
    const clock = new FakeClock();
    assert.throws(
      () => retentionOf({ expiresAtUnix: clock.unixSecs - 1 }, 1, clock),
      (error) => isBoughError(error, 'invalid_request'),
    );
  });
});

describe('the expiry of a snapshot', () => {
  it('comes when both clocks say so', () => {
    const clock = new FakeClock();
    const expiry = new SnapshotExpiry(clock);
    const view = aView('a', clock.unixSecs + 60);
    assert.equal(expiry.stateOf(aView('b')), 'never');
    assert.equal(expiry.stateOf(view), 'later');
    clock.pass(60);
    assert.equal(expiry.stateOf(view), 'expired');
  });

  it('does not come by a step of the wall clock', () => {
    const clock = new FakeClock();
    const expiry = new SnapshotExpiry(clock);
    const view = aView('a', clock.unixSecs + 60);
    expiry.stateOf(view);
    clock.step(3650 * DAY_SECS);
    assert.deepEqual(expiry.stateOf(view), { heldMs: 60_000 });
    clock.step(-3651 * DAY_SECS);
    clock.pass(60);
    assert.equal(expiry.stateOf(view), 'later', 'the wall clock has to agree');
  });

  it('is held for a while in what a daemon finds expired when it starts', () => {
    const clock = new FakeClock();
    const expiry = new SnapshotExpiry(clock);
    const view = aView('a', clock.unixSecs - 60);
    expiry.begin([view]);
    assert.deepEqual(expiry.stateOf(view), { heldMs: CLOCK_GRACE_MS });
    clock.pass(CLOCK_GRACE_MS / 1000);
    assert.equal(expiry.stateOf(view), 'expired');
  });
});
