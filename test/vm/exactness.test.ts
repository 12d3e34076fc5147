import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { BranchWait } from '../../src/sandbox/branch/capture.js';
import type { SnapshotMode } from '../../src/store/index.js';
import { repeats } from '../support/drawn.js';
import { Lab } from '../support/lab.js';
import { checkLedger, ledgerStep, letLedgerRun, startLedger } from '../support/ledger.js';
import { limitMs } from '../support/time-limit.js';

const timeout = limitMs(240_000);

const LIVE: [SnapshotMode, BranchWait][] = [
  ['live', 'ready'],
  ['live', 'running'],
  ['live', 'ready'],
  ['live', 'running'],
  ['live', 'running'],
  ['live', 'ready'],
  ['live', 'running'],
  ['live', 'ready'],
];
const STOPPED: [SnapshotMode, BranchWait][] = [
  ['diff', 'ready'],
  ['full', 'ready'],
];

describe('branch() of a guest that writes to memory and disk all the time', { timeout }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('exact');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('gives every child the memory and the disk of one instant, in every mode, and leaves the source as it was', async () => {
    const source = await lab.spawn();
    await startLedger(source, 32);
    const branches: { tag: string; mode: SnapshotMode; earliest: number; latest: number }[] = [];
    for (const [mode, wait] of [...LIVE.slice(0, repeats(LIVE.length)), ...STOPPED]) {
      const earliest = await ledgerStep(source);
      const tag = await lab.branch(source, { mode, wait });
      branches.push({ tag, mode, earliest, latest: await ledgerStep(source) });
      assert.equal(await lab.settled(tag), 'ready');
    }
    for (const { tag, mode, earliest } of branches) {
      const child = await lab.spawn(tag);
      const step = await checkLedger(child);
      assert(step >= earliest, `${mode}: the child is at step ${step}, before the branch's ${earliest}`);
      await lab.end(child);
    }
    await letLedgerRun(source, 1);
    await checkLedger(source);
  });
});
