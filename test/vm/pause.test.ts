import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { QmpClient } from '../../src/qmp/index.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { Guest } from '../support/guest.js';
import { refusal } from '../support/refusal.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

/** So long that a clock that was not set can be told from one that was, under software emulation too. */
const PAUSE_MS = 4_000;
const CLOCK_MS = 2_000;

describe('a paused sandbox', { timeout: 300_000 }, () => {
  let folders: OwnFolders;
  let host: LocalHost;
  const told: string[] = [];
  const open = (): Promise<LocalHost> =>
    openHost({ ...folders, maxConcurrentBranches: 4, emit: (name) => void told.push(name) });
  before(async () => {
    folders = await foldersWithTemplate('pause');
    host = await open();
  });
  after(async () => {
    for (const { id } of await host.listSandboxes()) await host.removeSandbox(id);
    await host.close();
    await folders.remove();
  });

  const spawn = async (more: object = {}): Promise<Guest> => {
    const [sandbox] = await host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1, ...more });
    assert(sandbox);
    return Guest.ofHost(host, sandbox.id);
  };
  const stateOf = async ({ id }: Guest): Promise<string> => (await host.getSandbox(id)).state;
  const count = (guest: Guest): Promise<number> => guest.read<number>('steps[0]');
  const COUNTER = `
import threading, time
steps = [0]
def step():
    while True:
        steps[0] += 1
        time.sleep(0.01)
threading.Thread(target=step, daemon=True).start()`;

  it('stands still, says so, and goes on with its memory and the right time', async () => {
    const guest = await spawn({ name: 'clock' });
    await guest.python(COUNTER);
    assert.equal((await host.pause('clock')).state, 'paused');
    assert.equal((await host.pause(guest.id)).state, 'paused');
    const { status, message } = await refusal(guest.exec(['true']));
    assert.deepEqual([status, message], [409, `Sandbox "${guest.id}" is paused, not running`]);
    const busyMs = (await host.stats(guest.id)).cpuTimeMs;
    await sleep(PAUSE_MS);
    const stats = await host.stats(guest.id);
    assert(stats.cpuTimeMs - busyMs < PAUSE_MS / 4, `it used ${stats.cpuTimeMs - busyMs} ms`);
    for (const bytes of [stats.memoryUniqueBytes, stats.memorySharedBytes, stats.memoryPssBytes])
      assert(bytes > 1 << 20, JSON.stringify(stats));
    assert(stats.diskSharedBytes > 1 << 20 && stats.diskUniqueBytes > 0, JSON.stringify(stats));
    assert.equal((await host.resume(guest.id)).state, 'running');
    assert.equal((await host.resume(guest.id)).state, 'running');
    const hostMs = Date.now();
    const guestMs = (await guest.read<number>('__import__("time").time()')) * 1000;
    assert(hostMs - guestMs < CLOCK_MS, `its clock is ${hostMs - guestMs} ms behind`);
    assert((await count(guest)) > 0);
    assert.deepEqual(
      told.filter((name) => /created|paused|resumed/.test(name)),
      ['sandbox.created', 'sandbox.paused', 'sandbox.resumed'],
    );
    await host.removeSandbox('clock');
  });

  it('is branched as it stands, in every mode, and stands on', async () => {
    const source = await spawn();
    await source.python('mark = 42');
    await source.shell('head -c 3000000 /dev/urandom > /root/big');
    await host.pause(source.id);
    for (const mode of ['live', 'diff', 'full'] as const) {
      const { tag } = await host.branch(source.id, { mode, wait: 'ready' });
      assert.equal(await stateOf(source), 'paused', mode);
      const paths = sandboxPaths(folders, source.id);
      assert.equal(await vmStatus(paths.qmpSocket), 'paused', mode);
      const [child] = await host.spawn({ snapshotTag: tag, count: 1 });
      assert(child);
      const guest = Guest.ofHost(host, child.id);
      assert.equal(await guest.read<number>('mark'), 42);
      assert.equal(await guest.shell('stat -c %s /root/big'), '3000000');
      await host.removeSandbox(child.id);
    }
    await host.resume(source.id);
    assert.equal(await source.read<number>('mark'), 42);
    await host.removeSandbox(source.id);
  });

  it('stands still under the next daemon too, and goes on with the right time', async () => {
    const guest = await spawn({ name: 'kept', env: { GREETING: 'hello' } });
    await guest.python('mark = 7');
    await host.pause(guest.id);
    await host.close();
    host = await open();
    assert.equal(await stateOf(guest), 'paused');
    await sleep(PAUSE_MS);
    const again = Guest.ofHost(host, 'kept');
    assert.equal((await refusal(again.exec(['true']))).status, 409);
    await host.resume('kept');
    const hostMs = Date.now();
    const guestMs = (await again.read<number>('__import__("time").time()')) * 1000;
    assert(hostMs - guestMs < CLOCK_MS, `its clock is ${hostMs - guestMs} ms behind`);
    assert.equal(await again.read<number>('mark'), 7);
    assert.equal(await again.shell('echo $GREETING'), 'hello', 'its environment is in its record');
    const { status } = await refusal(host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1, name: 'kept' }));
    assert.equal(status, 409, 'the name is known to the next daemon');
    await host.removeSandbox('kept');
  });

  it('is not idle, and comes to its end in time', async () => {
    const idle = await spawn({ lifetime: { idleTimeoutMs: 1_500 } });
    const ending = await spawn({ lifetime: { endInMs: 3_000 } });
    await host.pause(idle.id);
    await host.pause(ending.id);
    await sleep(PAUSE_MS);
    assert.equal(await stateOf(idle), 'paused');
    while ((await host.listSandboxes()).some(({ id }) => id === ending.id)) await sleep(50);
    await host.resume(idle.id);
    while ((await host.listSandboxes()).some(({ id }) => id === idle.id)) await sleep(50);
  });
});

/** What QEMU says, over a connection of its own once the daemon's is closed; the daemon's holds the one there is. */
async function vmStatus(socket: string): Promise<string> {
  const qmp = await QmpClient.connect(socket, { timeoutMs: 500 }).catch(() => undefined);
  if (qmp === undefined) return 'paused';
  try {
    return (await qmp.execute('query-status')).status;
  } finally {
    await qmp.close();
  }
}
