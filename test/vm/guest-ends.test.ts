import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, disarmFailpoints, sleep } from '../../src/base/index.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusal, refusedWith } from '../support/refusal.js';

const DEADLINE_MS = 20_000;
const POLL_MS = 10;

/** What a guest's kernel does at once for each letter, and what the host is told. One that panics reboots. */
const ENDS = [
  { what: 'powers off', letter: 'o', reason: /its guest powered off/ },
  { what: 'reboots', letter: 'b', reason: /its guest rebooted/ },
  { what: 'panics', letter: 'c', reason: /its guest rebooted/ },
];

describe('a guest that ends by itself', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('ends');
  });
  afterEach(async () => {
    disarmFailpoints();
    await lab.clean();
  });
  after(() => lab.close());

  const isFailed = async ({ id }: Guest, told: RegExp): Promise<void> => {
    const giveUpMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const { state, stateReason: reason, pid } = await lab.host.getSandbox(id);
      if (state === 'failed') {
        assert.equal(pid, undefined);
        assert.match(reason ?? '', told);
        return;
      }
      assert(performance.now() < giveUpMs, `it is ${state}`);
      await sleep(POLL_MS);
    }
  };

  for (const { what, letter, reason } of ENDS) {
    const end = async (guest: Guest): Promise<void> => {
      const script = `echo ${letter} > /proc/sysrq-trigger; sleep 10`;
      const { status } = await refusal(guest.exec(['sh', '-c', script]));
      assert(status === 502 || status === 409, `${status}`);
      await isFailed(guest, reason);
    };

    it(`${what}: the sandbox is failed, and can be removed`, async () => {
      const source = await lab.spawn();
      await end(source);
      await refusedWith('sandbox_not_running', 409, lab.branch(source));
      await refusedWith('sandbox_not_running', 409, source.exec(['true']));
      await lab.end(source);
      assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
    });

    it(`${what} while it is branched: before the capture there is no snapshot, after it a whole one`, async () => {
      const early = await lab.spawn();
      armFailpoint('branch.prepared', () => end(early));
      await refusedWith('source_died', 500, lab.branch(early, { tag: 'early' }));
      await refusedWith('snapshot_not_found', 404, lab.host.getSnapshot('early'));
      assert.deepEqual(await lab.leftovers(), []);

      const late = await lab.spawn();
      await late.python("x = 'kept'");
      let ending: Promise<void> | undefined;
      armFailpoint('branch.running', () => void (ending = end(late)));
      const outcome = await lab.branch(late, { tag: 'late' }).catch(codeOf);
      await ending;
      if (outcome === 'late') assert.equal(await (await lab.spawn('late')).python('x'), "'kept'");
      else assert.equal(outcome, 'source_died');
      assert.deepEqual(await lab.leftovers(), []);
    });

    it(`${what} when a branch was just asked for: there is a snapshot or nothing of it`, async () => {
      const source = await lab.spawn();
      const branching = lab.branch(source, { tag: 'asked' }).catch(codeOf);
      const ending = end(source);
      const outcome = await branching;
      await ending;
      const tags = (await lab.host.listSnapshots()).map(({ tag }) => tag);
      assert.equal(tags.includes('asked'), outcome === 'asked', outcome);
      assert.deepEqual(await lab.leftovers(), []);
    });
  }
});

const codeOf = (error: unknown): string => (error as { code: string }).code;
