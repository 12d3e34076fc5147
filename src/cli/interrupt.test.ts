import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sleep } from '../base/index.js';
import { untilInterrupted } from './interrupt.js';

const listenerCount = (): number => process.listenerCount('SIGINT') + process.listenerCount('SIGHUP');

describe('untilInterrupted()', () => {
  it('aborts the work once for an interrupt that arrives twice, and lets it clean up', async () => {
    const before = listenerCount();
    let cleanups = 0;
    const work = untilInterrupted(async (signal) => {
      try {
        process.kill(process.pid, 'SIGINT');
        process.kill(process.pid, 'SIGINT');
        await sleep(10_000, signal);
      } finally {
        await sleep(20);
        process.kill(process.pid, 'SIGHUP');
        await sleep(20);
        cleanups++;
      }
    });
    await assert.rejects(work, /Interrupted by SIGINT/);
    assert.equal(cleanups, 1);
    assert.equal(listenerCount(), before);
  });

  it('gives back what the work does', async () => {
    const before = listenerCount();
    assert.equal(await untilInterrupted(() => Promise.resolve(7)), 7);
    assert.equal(listenerCount(), before);
  });
});
