/**
 * Lines whose layers are merged while branches go on, next to a model of them. `BOUGH_LINES` says how many of each kind, for long runs; each
 * line is drawn from a seed of its own, and a failure tells which.
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, before, describe, it, type TestContext } from 'node:test';
import { disarmFailpoints } from '../../src/base/index.js';
import { LINE_HARD_LIMIT } from '../../src/sandbox/branch/line.js';
import type { Store } from '../../src/store/index.js';
import { ServedGuest, TableGuest } from '../faults/line-guests.js';
import { LineModel, type KeptSnapshot } from '../faults/line-model.js';
import { Seeded } from '../faults/seeded.js';
import { buildServedVmm } from '../support/served-vmm.js';
import { makeFixture } from '../support/store-fixture.js';

const TABLE = { lines: 12, branches: 60 };
const SERVED = { lines: 4, branches: 20, generations: 2 };

type Tally = LineModel['tally'];
type RunLine = (store: Store, dir: string, random: Seeded) => Promise<readonly Tally[]>;

const withTable: RunLine = async (store, dir, random) => {
  const model = new LineModel(store, dir, random, new TableGuest(random));
  await model.run(TABLE.branches);
  return [model.tally];
};

/** A child of the line's last snapshot has a line of its own, and so on. */
const withPager: RunLine = async (store, dir, random) => {
  const tallies: Tally[] = [];
  let ground: KeptSnapshot | undefined;
  for (let generation = 0; generation < SERVED.generations; generation++) {
    const own = join(dir, `${generation}`);
    await mkdir(own);
    const guest = await ServedGuest.start(own, random, ground);
    try {
      const model = new LineModel(store, own, random, guest, ground?.layers);
      await model.run(SERVED.branches);
      tallies.push(model.tally);
      ground = model.latest;
    } finally {
      await guest.close();
    }
  }
  return tallies;
};

async function runLines(t: TestContext, usual: number, run: RunLine): Promise<void> {
  const fixture = await makeFixture(t);
  const store = await fixture.reopen();
  const first = Seeded.fromEnvironment();
  const lines = Number(process.env['BOUGH_LINES'] ?? usual);
  const sum = { made: 0, failed: 0, wentOn: 0, onMerged: 0, longest: 0 };
  for (let line = 0; line < lines; line++) {
    const random = new Seeded(first.seed + line);
    const dir = join(fixture.hotDir, random.name);
    await mkdir(dir);
    const tallies = await run(store, dir, random).catch((cause: unknown) => {
      throw new Error(random.name, { cause });
    });
    for (const { longest, ...counts } of tallies) {
      sum.longest = Math.max(sum.longest, longest);
      for (const what of ['made', 'failed', 'wentOn', 'onMerged'] as const) sum[what] += counts[what];
    }
  }
  assert(sum.onMerged > 0 && sum.failed > 0 && sum.longest <= LINE_HARD_LIMIT, JSON.stringify(sum));
  console.log(`# ${lines} lines: ${JSON.stringify(sum)}, ${first.name}`);
}

describe('a line that is merged while it is branched', () => {
  before(buildServedVmm);
  afterEach(disarmFailpoints);

  it('holds at every branch what the one before has captured, whatever comes between', (t) =>
    runLines(t, TABLE.lines, withTable));

  it('is byte for byte what memory was at each stop, with the pager finding out what was written', (t) =>
    runLines(t, SERVED.lines, withPager));
});
