/**
 * A guest with two processors, which interrupt one another and share page tables, branched live while its children run. The machine it runs
 * in has one: the guest's two take turns on it, and every wait of one for the other is a change of the thread that runs.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { messageOf } from '../../src/base/index.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { checkLedger, ledgerStep, letLedgerRun, startLedger } from '../support/ledger.js';
import { limitMs } from '../support/time-limit.js';

const BRANCHES = Number(process.env['BOUGH_TWO_PROCESSOR_BRANCHES'] ?? 3);
/** What makes processors wait for one another: page tables made and thrown away. */
const FORK_WITHOUT_END = 'setsid sh -c "while :; do /bin/true; sleep 0.5; done" </dev/null >/dev/null 2>&1 &';

/**
 * Four such processors at times leave QEMU's main thread none of the one beneath for as long as a branch may take (5 s): then that branch fails, the
 * source goes on, and it is made again.
 */
const MOST_TRIES = 4;

describe('a guest with two processors under KVM', { timeout: limitMs(60_000 + 20_000 * BRANCHES) }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('two-processors');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const branch = async (source: Guest, say: (what: string) => void): Promise<string> => {
    for (let tries = 1; ; tries++) {
      try {
        const tag = await lab.branch(source);
        say(`paused for ${(await lab.host.getSnapshot(tag)).pauseMs} ms`);
        return tag;
      } catch (error) {
        if (tries === MOST_TRIES || !messageOf(error).includes('ETIMEDOUT')) throw error;
        say(`not made in time: ${messageOf(error)}`);
      }
    }
  };

  it('is branched live while a child runs, each child exact, and lives', async (t) => {
    await lab.host.createSnapshot({ tag: 'two', image: 'python-numpy', vcpus: 2 });
    const source = await lab.spawn('two');
    assert.equal(await source.shell('nproc'), '2');
    await source.shell(FORK_WITHOUT_END);
    await startLedger(source, 32);
    let child: Guest | undefined;
    for (let made = 1; made <= BRANCHES; made++) {
      const earliest = await ledgerStep(source);
      const tag = await branch(source, (what) => {
        t.diagnostic(`branch ${made}: ${what}`);
      });
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
