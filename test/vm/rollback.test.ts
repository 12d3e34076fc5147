import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { armFailpoints, disarmFailpoints, sleep } from '../../src/base/index.js';
import type { TimelinePoint } from '../../src/sandbox/host/timelines.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { refusedWith } from '../support/refusal.js';

describe('a sandbox that goes back in place', { timeout: 300_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('rollback');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  /** What it has in memory and on disk. */
  const stateOf = async (guest: Guest): Promise<unknown[]> => [
    await guest.python('mark'),
    await guest.shell('cat /root/mark; hostname'),
  ];
  const mark = async (guest: Guest, what: string): Promise<void> => {
    await guest.python(`mark = '${what}'`);
    await guest.shell(`echo ${what} > /root/mark && sync`);
  };
  const rollback = (guest: Guest, tag?: string, keepTag?: string) =>
    lab.host.timelines.rollback(guest.id, { tag, keep: true, keepTag }, ownCall());

  it('has the memory and the disk of then, and of before once the undo is undone, in the next daemon too', async () => {
    const guest = await lab.spawn();
    await lab.host.setTimeout(guest.id, { endAtUnix: 4_000_000_000 });
    await mark(guest, 'then');
    const then = await stateOf(guest);
    const retention = { checkpoint: {} };
    await lab.host.branch(guest.id, { mode: 'live', wait: 'ready', tag: 'then', retention });
    await mark(guest, 'later');
    const later = await stateOf(guest);
    assert.notDeepEqual(then, later);
    const { pid, ...shown } = await lab.host.getSandbox(guest.id);
    const sleeping = refusedWith('sandbox_rolled_back', 409, guest.exec(['sleep', '600']));

    const { sandbox, kept } = await rollback(guest);
    await sleeping;
    assert.deepEqual(await stateOf(guest), then);
    assert.notEqual(sandbox.pid, pid);
    assert.deepEqual(
      [sandbox.id, sandbox.snapshotTag, sandbox.endAtUnix],
      [guest.id, 'then', shown.endAtUnix],
    );
    assert.deepEqual(await lab.leftovers(), []);

    await rollback(guest, undefined, 'again');
    assert.deepEqual(await stateOf(guest), later);
    assert.equal((await lab.host.getSandbox(guest.id)).snapshotTag, kept?.tag);
    await lab.host.close();
    lab.host = await openHost({ ...lab.folders, maxConcurrentBranches: 4, emit: () => undefined });
    const adopted = Guest.ofHost(lab.host, guest.id);
    assert.deepEqual(await stateOf(adopted), later);
    const back = await lab.host.timelines.rollback(guest.id, { tag: 'again', keep: false }, ownCall());
    assert.deepEqual(await stateOf(adopted), then);
    assert.equal(back.kept, undefined);
  });

  it('has points to go back to by itself, in the next daemon too, each of one instant', async () => {
    const guest = await lab.spawn();
    const { timelines } = lab.host;
    const thinning = { keep: [{ withinSecs: 600 }], maxBytes: Number.MAX_SAFE_INTEGER };
    await timelines.setSchedule(guest.id, { everySecs: 1, thinning }, ownCall());
    const points = async (): Promise<TimelinePoint[]> =>
      (await lab.host.timelines.list(guest.id, ownCall())).filter(
        ({ snapshot }) => snapshot.status === 'ready',
      );
    const more = async (count: number): Promise<void> => {
      while ((await points()).length < count) await sleep(50);
    };
    await more(1);
    await mark(guest, 'second');
    await more((await points()).length + 2);
    await lab.host.close();
    lab.host = await openHost({ ...lab.folders, maxConcurrentBranches: 4, emit: () => undefined });
    await more((await points()).length + 1);
    await lab.host.timelines.setSchedule(guest.id, undefined, ownCall());
    for (const { snapshot, bytes, isThinnedOut } of await points()) {
      assert(bytes > 0 && (snapshot.pauseMs ?? 0) > 0, snapshot.tag);
      assert.equal(isThinnedOut, true);
    }
    const adopted = Guest.ofHost(lab.host, guest.id);
    await mark(adopted, 'last');
    await lab.host.timelines.rollback(guest.id, { keep: false }, ownCall());
    assert.equal(await adopted.python('mark'), "'second'");
    assert.equal(await adopted.shell('cat /root/mark'), 'second');
    assert.equal((await points()).filter(({ isOrigin }) => isOrigin).length, 1);
  });

  it('takes over what a child has become; where that fails, it runs on as it was', async () => {
    const source = await lab.spawn();
    await mark(source, 'source');
    const unchanged = await stateOf(source);
    const child = await lab.spawn(await lab.branch(source, { tag: 'fork' }));
    await mark(child, 'child');
    await lab.branch(child, { tag: 'winner' });
    await refusedWith('snapshot_not_found', 404, rollback(source, 'nobodys'));
    armFailpoints('rollback.switched=errno:EIO');
    await assert.rejects(rollback(source, 'winner', 'kept'));
    disarmFailpoints();
    assert.deepEqual(await stateOf(source), unchanged);
    assert.deepEqual(
      (await lab.host.listSnapshots()).filter(({ tag }) => tag === 'kept'),
      [],
    );
    assert.deepEqual(await lab.leftovers(), []);
    await rollback(source, 'winner', 'kept');
    assert.equal(await source.python('mark'), "'child'");
    assert.equal(await source.shell('cat /root/mark; hostname'), `child\nbough-${source.id}`);
    assert.equal(await child.python('mark'), "'child'", 'the child runs on');
  });
});
