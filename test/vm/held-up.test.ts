import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, disarmFailpoints, firedFailpoints, sleep } from '../../src/base/index.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusal } from '../support/refusal.js';

/** How long a step is held up. */
const HELD_MS = 60;
const TAG = 'held';

/** A call, by what it is; how it may be refused when the other one was quicker or is not over. */
interface Call {
  readonly make: (lab: Lab, source: Guest) => Promise<unknown>;
  readonly mayBe: readonly string[];
}

const CALLS: Readonly<Record<string, Call>> = {
  branch: {
    make: (lab, source) => lab.branch(source, { tag: TAG }),
    mayBe: ['sandbox_not_running', 'branch_in_progress', 'tag_exists', 'snapshot_not_found'],
  },
  'branch again': {
    make: (lab, source) => lab.branch(source, { tag: 'again' }),
    mayBe: ['sandbox_not_running', 'sandbox_not_found', 'branch_in_progress'],
  },
  'start children': {
    make: (lab) => lab.host.spawn({ snapshotTag: TAG, count: 2 }),
    mayBe: ['snapshot_not_found'],
  },
  'remove the source': { make: (lab, source) => lab.end(source), mayBe: ['sandbox_not_found'] },
  'delete the snapshot': {
    make: ({ host }) => host.deleteSnapshot(TAG, { cascade: false, force: true }),
    mayBe: ['snapshot_in_use', 'snapshot_not_found'],
  },
  'run a program': {
    make: (_lab, source) => source.shell('true'),
    mayBe: ['sandbox_not_running', 'sandbox_not_found', 'agent_unreachable', 'agent_protocol'],
  },
};

/** Which call is held up where, and what it meets there. */
const MEETINGS: readonly (readonly [call: string, places: readonly string[], others: readonly string[]])[] = [
  [
    'branch',
    ['branch.prepared', 'branch.running', 'branch.captured', 'branch.published'],
    ['branch again', 'start children', 'remove the source', 'delete the snapshot'],
  ],
  [
    'start children',
    ['spawn.linked', 'spawn.loaded', 'spawn.identified'],
    ['delete the snapshot', 'remove the source', 'branch again'],
  ],
  [
    'remove the source',
    ['remove.forgotten', 'remove.killed'],
    ['remove the source', 'branch', 'run a program'],
  ],
];

describe('a call that takes long', { timeout: 240_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('held');
  });
  afterEach(async () => {
    disarmFailpoints();
    await lab.clean();
  });
  after(() => lab.close());

  const outcome = async (name: string, source: Guest): Promise<void> => {
    const call = CALLS[name];
    assert(call, name);
    const making = call.make(lab, source);
    const isMade = await making.then(
      () => true,
      () => false,
    );
    if (isMade) return;
    const { code, message } = await refusal(making);
    assert(call.mayBe.includes(code), `"${name}" was refused with ${code}: ${message}`);
  };

  it('a fork whose source is removed when it has been captured has its children all the same', async () => {
    const source = await lab.spawn();
    armFailpoint('branch.published', () => lab.end(source));
    const { snapshot, children } = await lab.host.fork(source.id, { branch: { mode: 'live' }, count: 1 });
    assert.deepEqual(firedFailpoints(), ['branch.published']);
    assert.deepEqual(
      (await lab.host.listSandboxes()).map(({ id }) => id),
      children.map((child) => ('sandbox' in child ? child.sandbox.id : child.error)),
    );
    assert.equal(snapshot.status, 'ready');
  });

  for (const [held, places, others] of MEETINGS) {
    for (const place of places) {
      for (const other of others) {
        it(`"${held}" held up at ${place} meets "${other}"`, async () => {
          const source = await lab.spawn();
          if (held !== 'branch' && other !== 'branch') await lab.branch(source, { tag: TAG });
          let met: Promise<void> = Promise.resolve();
          armFailpoint(place, async () => {
            met = outcome(other, source);
            met.catch(() => undefined);
            await sleep(HELD_MS);
          });
          await outcome(held, source);
          await met;
          assert.deepEqual(firedFailpoints(), [place], 'the place was not reached');
          const sandboxes = await lab.host.listSandboxes();
          for (const { id } of sandboxes)
            assert.equal(await Guest.ofHost(lab.host, id).python('6 * 7'), '42');
          const running = (await vmProcesses(lab.folders.hotDir)).map(({ pid }) => pid).sort();
          assert.deepEqual(running, sandboxes.map(({ pid }) => pid).sort());
          for (const { tag, status } of await lab.host.listSnapshots()) assert.equal(status, 'ready', tag);
          assert.deepEqual(await lab.leftovers(), []);
        });
      }
    }
  }
});
