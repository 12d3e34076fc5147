import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';

/** Which pauses can be told from what a call into a guest takes here. */
const LONG_PAUSE_MS = 300;

describe('the clock of a guest that was paused', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('clock');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  /** How far it is behind the host's at least: the host's is read first. */
  const behindMs = async (guest: Guest): Promise<number> => {
    const hostMs = Date.now();
    return hostMs - (await guest.read<number>('__import__("time").time()')) * 1000;
  };

  it('is not waited for by whoever branches, and told of once where it cannot be set', async () => {
    const source = await lab.spawn();
    const isTold = (): boolean => lab.events.some(({ event }) => event === 'sandbox.clock-not-set');
    // The agent is the parent of what it runs.
    await source.shell(
      '(sleep 0.2; kill -STOP $1) </dev/null >/dev/null 2>&1 & exit 0'.replace('$1', '$PPID'),
    );
    const answers = (): Promise<boolean> =>
      Promise.race([lab.host.ping(source.id).then(() => true), sleep(1_000).then(() => false)]);
    while (await answers()) await sleep(50);
    await lab.branch(source, { mode: 'full' });
    assert(!isTold(), 'the branch waited for it');
    while (!isTold()) await sleep(50);
  });

  for (const mode of ['full', 'diff'] as const) {
    it(`is the host's again after a branch in ${mode} mode`, async (t) => {
      const source = await lab.spawn();
      await source.python('memory = bytearray(b"x") * (200 << 20)');
      const tag = await lab.branch(source, { mode });
      const { pauseMs = 0 } = await lab.host.getSnapshot(tag);
      let behind = await behindMs(source);
      while (behind > pauseMs / 2) behind = await behindMs(source);
      t.diagnostic(`pause ${pauseMs.toFixed(0)} ms, behind ${behind.toFixed(0)} ms`);
      assert(pauseMs > LONG_PAUSE_MS, `a pause of ${pauseMs} ms shows nothing`);
    });
  }
});
