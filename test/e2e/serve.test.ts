import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Bough } from '../../src/sdk/index.js';
import { captureBegins } from '../support/capture-begins.js';
import { Guest } from '../support/guest.js';
import { difference, inventory, vmProcesses } from '../support/leftovers.js';
import { startServe, type ServeProcess } from '../support/serve-process.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

describe('bough serve, a process', { timeout: 120_000 }, () => {
  let folders: OwnFolders;
  let daemon: ServeProcess;
  let client: Bough;
  before(async () => {
    folders = await foldersWithTemplate('serve');
    daemon = startServe(folders);
    client = new Bough({ url: (await daemon.url) ?? '' });
  });
  after(async () => {
    for (const { pid } of await vmProcesses(folders.hotDir)) process.kill(pid, 'SIGKILL');
    await folders.remove();
  });

  const spawnGuest = async (): Promise<Guest> => {
    const [sandbox] = await client.sandboxes.spawn({ snapshot_tag: TEMPLATE_TAG });
    assert(sandbox);
    return Guest.ofDaemon(client, sandbox.id);
  };
  const lock = (): Promise<string> => readFile(join(folders.stateDir, 'lock'), 'utf8');

  it('started a second time over the same folders, says who has them, fails and changes nothing', async () => {
    const guest = await spawnGuest();
    const before = [...(await inventory(folders)), await lock()];
    const second = startServe(folders);
    assert.equal(await second.url, undefined);
    const { status, stderr } = await second.ended;
    assert.equal(status, 1, stderr);
    assert.match(stderr, new RegExp(`^error: Cannot use ${folders.stateDir}: .*process ${daemon.pid}`, 'm'));
    assert.deepEqual(difference(before, [...(await inventory(folders)), await lock()]), []);
    assert.equal(await guest.python('6 * 7'), '42');
    await client.sandboxes.delete(guest.id);
  });

  it('told to stop while it branches, answers first, ends with 0 and leaves the sandbox running', async () => {
    const guest = await spawnGuest();
    const { pid } = await client.sandboxes.get(guest.id);
    await guest.python('memory = bytearray(b"x") * (100 << 20)');
    const branching = client.sandboxes.branch(guest.id, { tag: 'last' });
    await captureBegins(folders.hotDir, branching);
    process.kill(daemon.pid, 'SIGTERM');
    const { tag, status: snapshotStatus } = await branching;
    assert.deepEqual([tag, snapshotStatus], ['last', 'ready']);
    const { status, signal, stderr } = await daemon.ended;
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr);
    assert.deepEqual(
      (await vmProcesses(folders.hotDir)).map((vmm) => vmm.pid),
      [pid],
    );
  });
});
