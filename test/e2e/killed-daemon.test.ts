import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { captureBegins } from '../support/capture-begins.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { checkLedger, letLedgerRun, startLedger } from '../support/ledger.js';
import { readPulse, SELDOM_MS, startPulse } from '../support/pulse.js';

/**
 * Milliseconds after the request was sent, after the pager was seen to begin, or after the snapshot was
 * ready.
 */
const MOMENTS = [
  { after: 'request', ms: 0 },
  { after: 'request', ms: 15 },
  { after: 'capture', ms: 0 },
  { after: 'capture', ms: 60 },
  { after: 'ready', ms: 0 },
] as const;

describe('a daemon killed in the middle of a branch', { timeout: 240_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('killed');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('leaves the source running, and the next daemon adopts it; the snapshot is whole or not there', async (t) => {
    const { id } = await lab.spawn();
    const { pid } = await lab.client.sandboxes.get(id);
    await startLedger(lab.guest(id), 16);
    await lab.guest(id).python('memory = bytearray(b"x") * (100 << 20)');
    await startPulse(lab.guest(id), SELDOM_MS);

    const survived: string[] = [];
    for (const [index, moment] of MOMENTS.entries()) {
      const { beats } = await readPulse(lab.guest(id));
      const tag = `cut-${index}`;
      const branching = lab.branch(lab.guest(id), { tag });
      branching.catch(() => undefined);
      if (moment.after === 'capture') await captureBegins(lab.folders.hotDir, branching);
      if (moment.after === 'ready') await lab.listed(tag, 'ready');
      await sleep(moment.ms);
      const killedMs = performance.now();
      await lab.kill();
      await branching.catch(() => undefined);
      await sleep(300);
      await lab.start();
      const outageMs = performance.now() - killedMs;

      const sandbox = await lab.client.sandboxes.get(id);
      assert.deepEqual([sandbox.state, sandbox.pid], ['running', pid]);
      const pulse = await readPulse(lab.guest(id));
      assert(pulse.beats > beats);
      assert(pulse.longestGapMs < outageMs / 2, `gap ${pulse.longestGapMs} ms, outage ${outageMs} ms`);
      const listed = (await lab.client.snapshots.list()).find((snapshot) => snapshot.tag === tag);
      if (listed !== undefined) {
        assert.equal(listed.status, 'ready');
        survived.push(tag);
      }
      assert.deepEqual(await lab.leftovers(), []);
      survived.push(await lab.branch(lab.guest(id), { tag: `next-${index}` }));
    }
    t.diagnostic(`ready: ${survived.join(' ')}`);

    await letLedgerRun(lab.guest(id), 1);
    await checkLedger(lab.guest(id));
    assert(survived.includes(`cut-${MOMENTS.length - 1}`), 'a snapshot that was ready is gone');
    for (const tag of survived) {
      const child = await lab.spawn(tag);
      await checkLedger(child);
      await lab.client.sandboxes.delete(child.id);
    }
  });
});
