import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ClockKeeper } from './clock-keeper.js';

describe('ClockKeeper', () => {
  const kept = (...outcomes: ('ok' | 'fails')[]) => {
    let sets = 0;
    const keeper = new ClockKeeper(() => {
      sets++;
      return outcomes.shift() === 'fails' ? Promise.reject(new Error('no answer')) : Promise.resolve();
    });
    const pause = (fromMs: number, toMs: number): void => {
      keeper.note({ event: 'STOP', unixMs: fromMs });
      keeper.note({ event: 'RESUME', unixMs: toMs });
    };
    return { keeper, pause, sets: () => sets };
  };

  it('has the clock set after a long pause, and not after a short one', async () => {
    const { keeper, pause, sets } = kept();
    pause(1000, 1001);
    await keeper.settled();
    assert.equal(sets(), 0);
    pause(2000, 5600);
    await keeper.settled();
    assert.equal(sets(), 1);
  });

  it('adds short pauses up, and begins anew once the clock is set', async () => {
    const { keeper, pause, sets } = kept();
    for (let at = 0; at < 30; at++) pause(at * 100, at * 100 + 1);
    await keeper.settled();
    assert.equal(sets(), 1);
    pause(9000, 9001);
    await keeper.settled();
    assert.equal(sets(), 1);
  });

  it('has the clock set when the host set its own back meanwhile, and counts on from there', async () => {
    const { keeper, pause, sets } = kept();
    pause(5000, 1000);
    await keeper.settled();
    assert.equal(sets(), 1);
    pause(2000, 2030);
    await keeper.settled();
    assert.equal(sets(), 2);
  });

  it('tells why it could not be set, and tries again at the next pause', async () => {
    const { keeper, pause, sets } = kept('fails');
    pause(0, 100);
    await assert.rejects(keeper.settled(), /no answer/);
    pause(200, 201);
    await keeper.settled();
    assert.equal(sets(), 2);
  });

  it('knows nothing of a pause whose begin it did not hear', async () => {
    const { keeper, sets } = kept();
    keeper.note({ event: 'RESUME', unixMs: 5000 });
    await keeper.settled();
    assert.equal(sets(), 0);
  });
});
