/**
 * A guest with two processors, which interrupt one another and share page tables, branched live while its children run. The machine it runs
 * in has one: the guest's two take turns on it, and every wait of one for the other is a change of the thread that runs.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { repeats } from '../support/drawn.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { checkLedger, ledgerStep, letLedgerRun, startLedger } from '../support/ledger.js';
import { limitMs } from '../support/time-limit.js';

const BRANCHES = Number(process.env['BOUGH_TWO_PROCESSOR_BRANCHES'] ?? repeats(3));
/** What makes processors wait for one another: page tables made and thrown away. */
const FORK_WITHOUT_END = 'setsid sh -c "while :; do /bin/true; sleep 0.1; done" </dev/null >/dev/null 2>&1 &';

describe('a guest with two processors under KVM', { timeout: limitMs(60_000 + 20_000 * BRANCHES) }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('two-processors');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('is branched live while a child runs, each child exact, and lives', async (t) => {
    await lab.host.createSnapshot({ tag: 'two', image: 'python-numpy', vcpus: 2 });
    const source = await lab.spawn('two');
    assert.equal(await source.shell('nproc'), '2');
    await source.shell(FORK_WITHOUT_END);
    await startLedger(source, 32);
    let child: Guest | undefined;
    for (let made = 1; made <= BRANCHES; made++) {
      const earliest = await ledgerStep(source);
      const tag = await lab.branch(source);
      const { pauseMs } = await lab.host.getSnapshot(tag);
      t.diagnostic(`branch ${made}: paused for ${String(pauseMs)} ms`);
      if (child !== undefined) await lab.end(child);
      child = await lab.spawn(tag);
      assert.equal(await child.shell('nproc'), '2');
      assert((await checkLedger(child)) >= earliest, `child ${made}`);
      assert.equal(await lab.settled(tag), 'ready');
      await lab.host.deleteSnapshot(tag, { cascade: false, force: true });
    }
    await letLedgerRun(source, 1);
    await checkLedger(source);
  });
});
