import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, armFailpoints, Deferred, disarmFailpoints, MiB, sleep } from '../../src/base/index.js';
import { LINE_HARD_LIMIT, LINE_LIMIT } from '../../src/sandbox/branch/line.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { checkLedger, ledgerStep, startLedger } from '../support/ledger.js';
import { limitMs } from '../support/time-limit.js';

const TOUCHED_MIB = 64;

describe('a line of live branches', { timeout: limitMs(360_000) }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('line');
  });
  afterEach(async () => {
    disarmFailpoints();
    await lab.clean();
  });
  after(() => lab.close());

  const remove = (tag: string): Promise<unknown> =>
    lab.host.deleteSnapshot(tag, { cascade: false, force: false });
  const capturedBytes = async (guest: Guest): Promise<number> => {
    const { capturedBytes: bytes = Infinity } = await lab.host.getSnapshot(await lab.branch(guest));
    return bytes;
  };

  const isEnded = (): boolean => lab.events.some(({ event }) => event === 'sandbox.line-ended');

  it('captures what was written since the one before, however long it is, and everything after a branch that failed', async () => {
    const source = await lab.spawn();
    await source.python(`big = bytearray(b'x') * ${TOUCHED_MIB * MiB}`);
    assert((await capturedBytes(source)) >= TOUCHED_MIB * MiB);
    for (let step = 0; step < LINE_LIMIT + 1; step++) {
      await source.python(`big[:${MiB}] = b'${step % 10}' * ${MiB}`);
      const bytes = await capturedBytes(source);
      assert(bytes >= MiB && bytes < (TOUCHED_MIB / 2) * MiB, `branch ${step} holds ${bytes} bytes`);
    }
    armFailpoints('branch.captured=error');
    await assert.rejects(lab.branch(source));
    disarmFailpoints();
    assert((await capturedBytes(source)) >= TOUCHED_MIB * MiB);
    assert((await capturedBytes(source)) < (TOUCHED_MIB / 2) * MiB);
  });

  it('gives every child one instant while the source writes, with snapshots of the middle gone', async () => {
    const source = await lab.spawn();
    await startLedger(source, 16);
    const branches: { readonly tag: string; readonly earliest: number }[] = [];
    for (let index = 0; index < LINE_LIMIT + 3; index++) {
      const earliest = await ledgerStep(source);
      branches.push({ tag: await lab.branch(source), earliest });
    }
    const [first, second, ...others] = branches;
    const last = others.pop();
    assert(first && second && last);
    for (const { tag } of others) await remove(tag);
    for (const { tag, earliest } of [first, second, last]) {
      const child = await lab.spawn(tag);
      assert((await checkLedger(child)) >= earliest);
      await lab.end(child);
    }
    // What the line holds is the source's own: it goes on without the snapshots, and a child after it.
    const tag = await lab.branch(source);
    for (const each of [first, second, last]) await remove(each.tag);
    await checkLedger(await lab.spawn(tag));
    await checkLedger(source);
  });

  for (const outcome of ['goes well', 'fails'] as const) {
    it(`is branched exactly while its layers are merged, and after that ${outcome}`, async () => {
      const source = await lab.spawn();
      await startLedger(source, 16);
      const merge = new Deferred<undefined>();
      const begun = new Deferred<undefined>();
      armFailpoint('line.merged', () => {
        begun.resolve(undefined);
        return merge.promise;
      });
      const branches: { readonly tag: string; readonly earliest: number }[] = [];
      const branchNext = async (): Promise<number> => {
        const earliest = await ledgerStep(source);
        const tag = await lab.branch(source);
        branches.push({ tag, earliest });
        return (await lab.host.snapshotInfo(tag)).chainDepth;
      };
      let depth = 0;
      try {
        for (let index = 0; index < LINE_LIMIT; index++) depth = await branchNext();
        await begun.promise;
        for (let added = 1; added <= 2; added++) assert.equal(await branchNext(), depth + added);
        if (outcome === 'fails') merge.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
      } finally {
        merge.resolve(undefined);
      }
      // What it leaves is seen by the branch after it, or the next.
      while ((await branchNext()) >= depth + 2 && branches.length < LINE_HARD_LIMIT) await sleep(10);
      assert.equal(isEnded(), outcome === 'fails');
      assert(branches.length < LINE_HARD_LIMIT, 'the line stays long');
      for (const { tag, earliest } of [
        ...branches.slice(LINE_LIMIT, LINE_LIMIT + 1),
        ...branches.slice(-1),
      ]) {
        const child = await lab.spawn(tag);
        assert((await checkLedger(child)) >= earliest);
        await lab.end(child);
      }
      await checkLedger(source);
      assert.deepEqual(await lab.leftovers(), []);
    });
  }
});
