import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { compact, errorCode, sleep } from '../../src/base/index.js';
import { drawn, repeats } from '../support/drawn.js';
import { FaultLab } from '../faults/fault-lab.js';
import { HOST_FAILPOINTS, KILL_ONLY, STORE_FAILPOINTS } from '../faults/failpoints.js';
import { HOST_OPERATIONS, TAG, type HostOperation } from '../faults/host-operations.js';
import { Seeded } from '../faults/seeded.js';

/** Kills at places alone come to nearly as many; at any moment as many as make these. */
const LEAST_KILLS = repeats(200);
/** Labs without warm VMMs, side by side: a kill is mostly waiting. Each has its share of the places, and as many kills as the other. */
const LABS = 2;
/** In the one where VMMs stand ready. */
const LEAST_KILLS_WARM = repeats(24);
/** A child is started of every so-manyth snapshot that survived. */
const CHILD_EVERY = 8;

interface Case extends HostOperation {
  readonly place: string;
  readonly count: number;
  readonly name: string;
}

/** How the host's places are reached, and each of the store's with a VM once for every operation. */
const CASES: readonly Case[] = [
  ...[...HOST_FAILPOINTS].flatMap(([place, cases]) => cases.map((each) => ({ place, ...each }))),
  ...[...STORE_FAILPOINTS].flatMap(([place, cases]) =>
    cases.filter(({ count }) => count === 1).map((each) => ({ place, ...each })),
  ),
].flatMap(({ place, operation, count }) => {
  // With a daemon only a caller who does not wait is told a tag before its snapshot is ready.
  const found = HOST_OPERATIONS[place === 'draft.announced' ? 'announced' : operation];
  if (found === undefined || place === 'copy.write') return [];
  return [{ ...found, place, count, name: `${place}${count > 1 ? `:${count}` : ''} in ${operation}` }];
});

describe('a daemon with VMs that is killed', { timeout: 1_400_000, concurrency: LABS }, () => {
  const random = Seeded.fromEnvironment();
  const total = { daemonKills: 0, vmmKills: 0, faults: 0 };
  const cases = drawn(CASES, random);
  const inCold = cases.filter(({ warm }) => warm !== true);
  for (let share = 0; share < LABS; share++) {
    const places = inCold.filter((_, at) => at % LABS === share);
    const lab = { name: `kills${share}`, warmVmms: 0, places, leastKills: LEAST_KILLS / LABS };
    describe(`in lab ${share + 1} of ${LABS}`, { concurrency: 1 }, () => inLab(lab, random, total));
  }
  const places = cases.filter(({ warm }) => warm === true);
  const lab = { name: 'kills-warm', warmVmms: 1, places, leastKills: LEAST_KILLS_WARM };
  describe('in a lab where VMMs stand ready', { concurrency: 1 }, () => inLab(lab, random, total));
  after(() => {
    const { daemonKills, vmmKills, faults } = total;
    console.log(
      `# kills survived: ${daemonKills} of the daemon, ${vmmKills} of a VMM; ${faults} other faults; none lost; ${random.name}`,
    );
  });
});

/** How many it has killed: none that has ended meanwhile. */
function killIfThere(pid: number): number {
  try {
    process.kill(pid, 'SIGKILL');
    return 1;
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return 0;
    throw error;
  }
}

interface LabOfKills {
  readonly name: string;
  readonly warmVmms: number;
  readonly places: readonly Case[];
  /** At places and, to make up for what these are too few, at any moment. */
  readonly leastKills: number;
}

function inLab(
  { name, warmVmms, places, leastKills }: LabOfKills,
  random: Seeded,
  total: { daemonKills: number; vmmKills: number; faults: number },
): void {
  let lab: FaultLab;
  let [kills, survived] = [0, 0];

  before(async () => {
    lab = await FaultLab.open(name, { warmVmms });
  });
  beforeEach(() => lab.begin());
  after(() => lab.close());

  const again = ({ run, again: makesSense }: HostOperation): (() => Promise<unknown>) | undefined =>
    makesSense === true && run !== undefined ? () => run(lab) : undefined;
  const settle = async (operation: HostOperation, sourceDied = false): Promise<void> => {
    await lab.settle({
      sourceDied,
      tag: TAG,
      others: operation.others,
      mayBeFailed: operation.mayBeFailed === true,
      startChild: ++survived % CHILD_EVERY === 0,
      again: again(operation),
      sandboxes: operation.sandboxes ?? 0,
    });
    await operation.verify?.(lab);
  };

  for (const each of places) {
    it(`SIGKILL of the daemon at ${each.name}`, async () => {
      const { place, count, prepare, between, run, alsoArm } = each;
      const failpoints = [...(alsoArm === undefined ? [] : [alsoArm]), `${place}:${count}=abort`].join(',');
      await prepare?.(lab);
      if (between === undefined) {
        await lab.arm(failpoints);
        const ended = lab.outcome(run?.(lab) ?? Promise.resolve());
        assert.equal(await lab.died(), 'SIGKILL');
        await ended;
      } else {
        await lab.kill();
        await between(lab);
        if (await lab.start(failpoints))
          assert.equal(await lab.died(), 'SIGKILL', 'the place was not reached');
      }
      kills += 1;
      total.daemonKills += 1;
      assert(await lab.start(), lab.log);
      await settle(each);
    });
  }

  for (const each of places.filter(({ vmm, place }) => vmm !== undefined && !place.startsWith('record.'))) {
    it(`SIGKILL of the VMM of the ${each.vmm ?? ''} at ${each.name}`, async () => {
      const { place, count, prepare, run, vmm, others } = each;
      await prepare?.(lab);
      let killed = 0;
      const pid = await lab.sourcePid();
      const { over } = await lab.meet(place, count, async () => {
        for (const each of vmm === 'source' ? [pid] : await lab.unlistedVmms()) {
          killed += killIfThere(each);
        }
        await sleep(5);
      });
      await lab.outcome(run?.(lab) ?? Promise.resolve());
      await over;
      kills += killed;
      total.vmmKills += killed;
      await settle(compact({ others }), vmm === 'source');
    });
  }

  for (const each of places.filter(
    ({ between, place }) => between === undefined && !KILL_ONLY.includes(place),
  )) {
    it(`EIO at ${each.name}`, async () => {
      const { place, count, prepare, run, alsoArm, unharmedAt } = each;
      await prepare?.(lab);
      const failpoints = [...(alsoArm === undefined ? [] : [alsoArm]), `${place}:${count}=errno:EIO`];
      await lab.arm(failpoints.join(','));
      const code = await lab.outcome(run?.(lab) ?? Promise.resolve());
      if (unharmedAt?.test(place) === true) assert.equal(code, undefined);
      await lab.reached(place);
      await lab.arm('');
      total.faults += 1;
      if (each.againAtOnce === true)
        assert.equal(await lab.outcome(run?.(lab) ?? Promise.resolve()), undefined);
      // Of a record that could not be written, the next note or the next daemon says what is so.
      if (each.leavesGarbage === true || /^(file|record)\./.test(place)) {
        await lab.kill();
        assert(await lab.start(), lab.log);
      }
      await settle(each);
    });
  }

  it(`SIGKILL at any moment, until there were ${leastKills}`, async () => {
    const operations = ['branch', 'switch', 'capture', 'delete', 'spawn', 'fork', 'remove'] as const;
    for (; kills < leastKills; kills++) {
      const operationName = random.pick(operations);
      const operation = HOST_OPERATIONS[operationName] ?? {};
      const isVmm = operation.vmm === 'source' && random.below(4) === 0;
      await operation.prepare?.(lab);
      const pid = await lab.sourcePid();
      const ended = lab.outcome(operation.run?.(lab) ?? Promise.resolve());
      await sleep(random.below(['spawn', 'fork'].includes(operationName) ? 400 : 60));
      if (isVmm) {
        process.kill(pid, 'SIGKILL');
        total.vmmKills += 1;
      } else {
        await lab.kill();
        total.daemonKills += 1;
      }
      await ended;
      if (!isVmm) assert(await lab.start(), lab.log);
      await settle(isVmm ? {} : operation, isVmm);
    }
  });
}
