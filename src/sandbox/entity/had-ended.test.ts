import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QmpDisconnected, type QmpClient } from '../../qmp/index.js';
import { hadEnded } from './had-ended.js';

describe('hadEnded()', () => {
  const saying = (status: string): Pick<QmpClient, 'execute'> => ({
    execute: () => Promise.resolve({ status }),
  });

  it('asks only where QEMU told of no stop', async () => {
    const execute = () => Promise.reject(new Error('asked'));
    assert.equal(await hadEnded({ execute }, { eventsUs: 1 }), false);
    await assert.rejects(hadEnded({ execute }, { eventsUs: 0 }), /asked/);
  });

  it('is true of a guest that has shut down, or whose QEMU is gone', async () => {
    assert.equal(await hadEnded(saying('shutdown'), { eventsUs: 0 }), true);
    assert.equal(await hadEnded(saying('running'), { eventsUs: 0 }), false);
    const gone = { execute: () => Promise.reject(new QmpDisconnected('gone')) };
    assert.equal(await hadEnded(gone, { eventsUs: 0 }), true);
  });
});
