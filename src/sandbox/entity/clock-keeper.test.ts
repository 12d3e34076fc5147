import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { messageOf } from '../../base/index.js';
import { ClockKeeper } from './clock-keeper.js';

describe('ClockKeeper', () => {
  const kept = (...outcomes: ('ok' | 'fails')[]) => {
    let sets = 0;
    const told: string[] = [];
    const setClock = (): Promise<void> => {
      sets++;
      return outcomes.shift() === 'fails' ? Promise.reject(new Error('no answer')) : Promise.resolve();
    };
    const keeper = new ClockKeeper(setClock, (error) => told.push(messageOf(error)));
    const pause = (fromMs: number, toMs: number): void => {
      keeper.note({ event: 'STOP', unixMs: fromMs });
      keeper.note({ event: 'RESUME', unixMs: toMs });
    };
    return { keeper, pause, told, sets: () => sets };
  };

  it('has the clock set after a long pause, and not after a short one', async () => {
    const { pause, sets } = kept();
    pause(1000, 1001);
    await turn();
    assert.equal(sets(), 0);
    pause(2000, 5600);
    await turn();
    assert.equal(sets(), 1);
  });

  it('adds short pauses up, and begins anew once the clock is set', async () => {
    const { pause, sets } = kept();
    for (let at = 0; at < 30; at++) pause(at * 100, at * 100 + 1);
    await turn();
    assert.equal(sets(), 1);
    pause(9000, 9001);
    await turn();
    assert.equal(sets(), 1);
  });

  it('has the clock set when the host set its own back meanwhile, and counts on from there', async () => {
    const { pause, sets } = kept();
    pause(5000, 1000);
    await turn();
    assert.equal(sets(), 1);
    pause(2000, 2030);
    await turn();
    assert.equal(sets(), 2);
  });

  it('tells once why it could not be set, and tries again at the next pause', async () => {
    const { pause, sets, told } = kept('fails');
    pause(0, 100);
    await turn();
    assert.deepEqual(told, ['no answer']);
    pause(200, 201);
    await turn();
    assert.equal(sets(), 2);
    pause(300, 301);
    await turn();
    assert.deepEqual([sets(), told.length], [2, 1]);
  });

  it('knows nothing of a pause whose begin it did not hear', async () => {
    const { keeper, sets } = kept();
    keeper.note({ event: 'RESUME', unixMs: 5000 });
    await turn();
    assert.equal(sets(), 0);
  });
});
