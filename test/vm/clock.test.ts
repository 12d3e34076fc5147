import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
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

  for (const mode of ['full', 'diff'] as const) {
    it(`is the host's again when a branch in ${mode} mode returns`, async (t) => {
      const source = await lab.spawn();
      await source.python('memory = bytearray(b"x") * (200 << 20)');
      const tag = await lab.branch(source, { mode });
      const behind = await behindMs(source);
      const { pauseMs = 0 } = await lab.host.getSnapshot(tag);
      t.diagnostic(`pause ${pauseMs.toFixed(0)} ms, behind ${behind.toFixed(0)} ms`);
      assert(pauseMs > LONG_PAUSE_MS, `a pause of ${pauseMs} ms shows nothing`);
      assert(behind < pauseMs / 2, `${behind} ms behind after ${pauseMs}`);
    });
  }
});
