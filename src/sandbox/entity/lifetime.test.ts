import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../../test/support/fake-clock.js';
import { isBoughError } from '../../contract/index.js';
import {
  changedLifetime,
  CLOCK_GRACE_MS,
  LifetimeClock,
  lifetimeOf,
  type LifetimeChange,
  type Lifetime,
} from './lifetime.js';

const DAY_SECS = 86_400;

function begun(clock: FakeClock, terms: Lifetime | undefined): LifetimeClock {
  return new LifetimeClock(() => terms, clock.unixSecs, clock);
}

function changed(clock: FakeClock, terms: Lifetime | undefined, change: LifetimeChange): Lifetime {
  return changedLifetime(terms, change, clock);
}

describe('the end of a sandbox', () => {
  it('is never without terms', () => {
    const clock = new FakeClock();
    const lifetime = begun(clock, lifetimeOf({}, clock));
    clock.pass(1000 * DAY_SECS);
    assert.equal(lifetime.due(), undefined);
    assert.equal(lifetime.view().endAtUnix, undefined);
    assert.equal(lifetime.view().onEnd, undefined);
  });

  it('comes after its timeout, and at a moment', () => {
    const clock = new FakeClock();
    for (const request of [{ endInMs: 60_000 }, { endAtUnix: clock.unixSecs + 60 }]) {
      const now = new FakeClock();
      const lifetime = begun(now, lifetimeOf(request, now));
      assert.equal(lifetime.view().endAtUnix, now.unixSecs + 60);
      now.pass(59);
      assert.equal(lifetime.due(), undefined);
      now.pass(1);
      assert.match(lifetime.due() ?? '', /time is over/);
    }
  });

  it('is not moved by being used', async () => {
    const clock = new FakeClock();
    const lifetime = begun(clock, lifetimeOf({ endInMs: 60_000 }, clock));
    await lifetime.during(() => {
      clock.pass(61);
      return Promise.resolve();
    });
    assert.notEqual(lifetime.due(), undefined);
  });

  it('comes after disuse, counted from the end of the last use', async () => {
    const clock = new FakeClock();
    const lifetime = begun(clock, lifetimeOf({ idleTimeoutMs: 10_000 }, clock));
    clock.pass(9);
    await lifetime.during(async () => {
      clock.pass(600);
      assert.equal(lifetime.due(), undefined);
      await Promise.resolve();
    });
    clock.pass(9);
    assert.equal(lifetime.due(), undefined);
    clock.pass(1);
    assert.match(lifetime.due() ?? '', /nobody used it for 10 s/);
  });

  it('is put off by a use that fails, too', async () => {
    const clock = new FakeClock();
    const lifetime = begun(clock, lifetimeOf({ idleTimeoutMs: 10_000 }, clock));
    clock.pass(9);
    await assert.rejects(lifetime.during(() => Promise.reject(new Error('no'))));
    clock.pass(9);
    assert.equal(lifetime.due(), undefined);
    assert.equal(lifetime.view().lastUsedAtUnix, clock.unixSecs - 9);
  });

  it('cannot be asked for in the past', () => {
    const clock = new FakeClock();
    assert.throws(
      () => lifetimeOf({ endAtUnix: clock.unixSecs }, clock),
      (error) => isBoughError(error, 'invalid_request') && error.message.includes('endAtUnix'),
    );
  });

  it('does not obey a step of the wall clock, forwards or back', () => {
    for (const step of [DAY_SECS, -DAY_SECS, 3650 * DAY_SECS, -3650 * DAY_SECS]) {
      const clock = new FakeClock();
      const lifetime = begun(clock, lifetimeOf({ endAtUnix: clock.unixSecs + 60 }, clock));
      clock.step(step);
      assert.equal(lifetime.due(), undefined);
      assert.equal(lifetime.view().endAtUnix, clock.unixSecs + 60, 'shown as it will be');
      clock.pass(60);
      assert.notEqual(lifetime.due(), undefined);
    }
  });

  it('is held across a restart of the daemon, although the wall clock was stepped meanwhile', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 3_600_000 }, clock);
    clock.pass(1800);
    clock.step(DAY_SECS);
    const next = begun(clock, terms);
    assert.equal(next.due(), undefined);
    clock.pass(1800);
    assert.notEqual(next.due(), undefined);
  });

  it('that passed while no daemon ran is acted on by the next', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 3_600_000 }, clock);
    clock.pass(7200);
    assert.notEqual(begun(clock, terms).due(), undefined);
  });

  it('by disuse starts anew with the daemon', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ idleTimeoutMs: 10_000 }, clock);
    clock.pass(100);
    const next = begun(clock, terms);
    assert.equal(next.due(), undefined);
    clock.pass(10);
    assert.notEqual(next.due(), undefined);
  });

  it('of a sandbox that died with the host is taken from the wall clock, after a grace', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 60_000 }, clock);
    clock.reboot(600);
    const next = begun(clock, terms);
    assert.equal(next.due(), undefined);
    clock.pass(CLOCK_GRACE_MS / 1000);
    assert.notEqual(next.due(), undefined);
  });
});

describe('changing the end', () => {
  it('sets it, sooner or later, and leaves the rest', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 60_000, idleTimeoutMs: 5_000, onEnd: 'snapshot' }, clock);
    for (const secs of [10, 600]) {
      const next = changed(clock, terms, { endInMs: secs * 1000 });
      assert.equal(next.end?.atUnix, clock.unixSecs + secs);
      assert.deepEqual([next.idleTimeoutSecs, next.onEnd], [5, 'snapshot']);
    }
  });

  it('only extends when asked to', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 60_000, idleTimeoutMs: 60_000 }, clock);
    const extend = (secs: number, from = terms): Lifetime =>
      changed(clock, from, { endInMs: secs * 1000, idleTimeoutMs: secs * 1000, extendOnly: true });
    assert.deepEqual(extend(10), terms);
    assert.equal(extend(600).end?.atUnix, clock.unixSecs + 600);
    assert.equal(extend(600).idleTimeoutSecs, 600);
    assert.deepEqual(changed(clock, undefined, { endInMs: 10_000, extendOnly: true }), { onEnd: 'kill' });
  });

  it('compares ends by what is left of them, whatever the wall clock says', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 600_000 }, clock);
    clock.step(-DAY_SECS);
    assert.deepEqual(changed(clock, terms, { endInMs: 60_000, extendOnly: true }), terms);
  });

  it('takes it away', () => {
    const clock = new FakeClock();
    const terms = lifetimeOf({ endInMs: 60_000, idleTimeoutMs: 60_000 }, clock);
    assert.deepEqual(changed(clock, terms, { never: true, idleTimeoutMs: 0 }), { onEnd: 'kill' });
  });
});
