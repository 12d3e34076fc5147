import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../../test/support/fake-clock.js';
import { Deferred } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { CheckpointSchedule } from '../entity/record.js';
import { ScheduledCheckpoints } from './schedule.js';
import { DEFAULT_THINNING } from './thinning.js';

const every = (everySecs: number): CheckpointSchedule => ({ everySecs, thinning: DEFAULT_THINNING });

function bench(schedule: CheckpointSchedule | undefined = every(10)) {
  const clock = new FakeClock();
  const sandbox = {
    ...{ id: 'sb1', state: 'running', isBranching: false, takes: () => true },
    record: { checkpoints: schedule },
  };
  const at: number[] = [];
  const told: { name: string; retryMs?: number }[] = [];
  const behaviour: { take: () => Promise<unknown>; newestAgeMs?: number | undefined } = {
    take: () => Promise.resolve(),
  };
  const begunMs = clock.bootMs();
  const checkpoints = new ScheduledCheckpoints<typeof sandbox>(
    {
      sandboxes: () => [sandbox],
      take: () => {
        at.push((clock.bootMs() - begunMs) / 1000);
        return behaviour.take();
      },
      newestAgeMs: () => behaviour.newestAgeMs,
    },
    (name, facts) => void told.push({ name, ...(facts as { retryMs?: number }) }),
    clock,
  );
  /** Rounds as often as the host has them; what they begin ends at once. */
  const pass = async (secs: number): Promise<void> => {
    for (let tenths = 0; tenths < secs * 10; tenths++) {
      checkpoints.sweep();
      await checkpoints.settled();
      clock.pass(0.1);
    }
  };
  const isNear = (expected: readonly number[]): void =>
    assert.deepEqual(at.map(Math.round), expected, at.join());
  return { ...{ clock, sandbox, checkpoints, behaviour, told, at, pass, isNear } };
}

describe('checkpoints at intervals', () => {
  it('are taken at once, and in step with the interval', async () => {
    const { pass, isNear } = bench();
    await pass(35);
    isNear([0, 10, 20, 30]);
  });

  it('go on in the next daemon from the newest there is', async () => {
    const { pass, behaviour, isNear } = bench();
    behaviour.newestAgeMs = 7_000;
    await pass(5);
    isNear([3]);
  });

  it('are taken of nobody without a schedule, of none that stands still, and not while somebody else has it', async () => {
    const none = bench();
    none.sandbox.record = { checkpoints: undefined as never };
    await none.pass(30);
    none.isNear([]);
    for (const busy of [{ state: 'paused' }, { isBranching: true }, { takes: () => false }]) {
      const { sandbox, pass, isNear } = bench();
      const free = { ...sandbox };
      Object.assign(sandbox, busy);
      await pass(15);
      isNear([]);
      Object.assign(sandbox, free);
      await pass(5);
      isNear([15]);
    }
  });

  it('never run twice at once, however long one takes, and leave the guest an interval after it', async () => {
    const { clock, checkpoints, behaviour, at } = bench(every(1));
    const slow = new Deferred<undefined>();
    behaviour.take = () => slow.promise;
    for (let round = 0; round < 50; round++) {
      checkpoints.sweep();
      await Promise.resolve();
      clock.pass(0.1);
    }
    assert.equal(at.length, 1);
    slow.resolve(undefined);
    await checkpoints.settled();
    checkpoints.sweep();
    assert.equal(at.length, 1);
    clock.pass(1);
    checkpoints.sweep();
    await checkpoints.settled();
    assert.equal(at.length, 2);
  });

  it('that fail are told, tried again less and less often, and as before once one succeeds', async () => {
    const { checkpoints, behaviour, told, pass, isNear } = bench();
    behaviour.take = () =>
      Promise.reject(new BoughError('no_space', { store: 'hot', neededBytes: 1, availableBytes: 0 }));
    await pass(75);
    isNear([0, 10, 30, 70]);
    assert.deepEqual(
      told.map(({ name }) => name),
      told.map(() => 'sandbox.no-checkpoint'),
    );
    assert.deepEqual(
      told.map(({ retryMs }) => retryMs),
      [10_000, 20_000, 40_000, 80_000],
    );
    assert.match(checkpoints.warningOf('sb1') ?? '', /hot store/);
    behaviour.take = () => Promise.resolve();
    await pass(90);
    isNear([0, 10, 30, 70, 150, 160]);
    assert.equal(checkpoints.warningOf('sb1'), undefined);
  });

  it('wait for whoever came first, without a word', async () => {
    const { behaviour, told, at, pass } = bench();
    behaviour.take = () => Promise.reject(new BoughError('branch_in_progress', { id: 'sb1' }));
    await pass(1);
    assert(at.length > 1);
    assert.deepEqual(told, []);
    behaviour.take = () => Promise.resolve();
    const before = at.length;
    await pass(5);
    assert.equal(at.length, before + 1);
  });

  it('begin anew with another schedule, and end with their daemon', async () => {
    const { sandbox, checkpoints, pass, isNear } = bench(every(3600));
    await pass(5);
    sandbox.record = { checkpoints: every(2) };
    await pass(5);
    isNear([0, 5, 7, 9]);
    await checkpoints.stop();
    await pass(10);
    isNear([0, 5, 7, 9]);
  });
});
