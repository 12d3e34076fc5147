import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { BoughApiError } from '../../src/sdk/index.js';
import { captureBegins } from '../support/capture-begins.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { readPulse, SELDOM_MS, startPulse } from '../support/pulse.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

describe('a daemon that comes back', { timeout: 180_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('restart');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('stopped by SIGTERM, leaves its sandboxes running and adopts them', async () => {
    const { id } = await lab.spawn();
    await startPulse(lab.guest(id), SELDOM_MS);
    await lab.branch(lab.guest(id), { tag: 'before' });
    const { beats } = await readPulse(lab.guest(id));
    // After the last use: each is noted, to the second.
    const known = await lab.client.sandboxes.get(id);

    await lab.stop();
    assert.deepEqual(
      (await vmProcesses(lab.folders.hotDir)).map(({ pid }) => pid),
      [known.pid],
    );
    await sleep(500);
    await lab.start();

    assert.deepEqual(await lab.client.sandboxes.get(id), known);
    assert((await readPulse(lab.guest(id))).beats > beats);
    assert.equal((await lab.client.snapshots.get('before')).status, 'ready');
    await lab.branch(lab.guest(id), { tag: 'after' });
    for (const tag of ['before', 'after']) assert.equal(await (await lab.spawn(tag)).python('6 * 7'), '42');
  });

  it('held up in the middle of a branch, ends it when it goes on; no guest was held up with it', async () => {
    const heldUpMs = 2000;
    const guests = await Promise.all([lab.spawn(), lab.spawn()]);
    const [source] = guests;
    await source.python('memory = bytearray(b"x") * (60 << 20)');
    await Promise.all(guests.map((guest) => startPulse(guest, SELDOM_MS)));
    const before = await Promise.all(guests.map((guest) => readPulse(guest)));
    const branching = lab.branch(source, { tag: 'held-up' }).catch((error: unknown) => error);
    await captureBegins(lab.folders.hotDir, branching);
    process.kill(lab.pid, 'SIGSTOP');
    await sleep(heldUpMs);
    process.kill(lab.pid, 'SIGCONT');

    const outcome = await branching;
    for (const [index, guest] of guests.entries()) {
      const { beats, longestGapMs } = await readPulse(guest);
      assert(beats > (before[index]?.beats ?? 0));
      assert(longestGapMs < heldUpMs / 2, `gap ${longestGapMs} ms in guest ${index}`);
    }
    if (outcome !== 'held-up') assert(outcome instanceof BoughApiError, String(outcome));
    else assert.equal(await (await lab.spawn(outcome)).python('len(memory)'), String(60 << 20));
    assert.deepEqual(await lab.leftovers(), []);
  });

  it('after a reboot of the machine, has every durable snapshot and loads it from disk', async () => {
    const source = await lab.spawn();
    await source.python('answer = 42');
    await source.shell('echo kept > /root/note');
    await lab.branch(source, { tag: 'kept', wait: 'durable' });

    await lab.stop();
    for (const { pid } of await vmProcesses(lab.folders.hotDir)) process.kill(pid, 'SIGKILL');
    await rm(lab.folders.hotDir, { recursive: true });
    await lab.start();

    const snapshots = await lab.client.snapshots.list();
    assert.deepEqual(
      snapshots.map(({ tag, status, durable }) => [tag, status, durable]),
      [
        [TEMPLATE_TAG, 'ready', true],
        ['kept', 'ready', true],
      ],
    );
    for (const { state } of await lab.client.sandboxes.list()) assert.equal(state, 'failed');
    const child = await lab.spawn('kept');
    assert.equal(await child.python('answer'), '42');
    assert.equal(await child.shell('cat /root/note'), 'kept');
  });
});
