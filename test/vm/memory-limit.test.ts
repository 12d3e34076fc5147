/** A sandbox with a memory limit: what counts, and what becomes of one that takes more. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, it, describe } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { isBoughError } from '../../src/contract/index.js';
import { checkCgroups } from '../../src/vmm/host/check-isolation.js';
import { Cgroups } from '../../src/vmm/process/cgroups.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

/** What QEMU and the guest have before they are used is a third of it. */
const LIMIT_MIB = 320;

describe('a memory limit', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('memory-limit');
  });
  after(() => lab.close());

  it('counts no layers, ends a VM that takes more, and refuses one that cannot start', async (t) => {
    const check = await checkCgroups(new Cgroups('bough-test-memory-limit'));
    if (check.status !== 'ok') {
      t.skip(check.found);
      return;
    }
    const spawn = async (memoryLimitMiB: number): Promise<Guest> => {
      const [view] = await lab.host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1, memoryLimitMiB });
      assert(view);
      assert.deepEqual([view.memoryLimitMiB, view.isolation.cgroup], [memoryLimitMiB, true]);
      return Guest.ofHost(lab.host, view.id);
    };
    // Less than the API lets anybody ask for: QEMU by itself has more.
    const refused = await spawn(8).catch((error: unknown) => error);
    assert(isBoughError(refused, 'limit_unusable'), String(refused));

    const guest = await spawn(LIMIT_MIB);
    await guest.python('kept = bytearray(b"x") * (180 << 20)');
    // Not even one of their layers would fit beside it.
    for (let n = 0; n < 3; n++)
      await lab.host.branch(guest.id, { mode: 'live', tag: `limited-${n}`, wait: 'ready' });
    assert.equal(await guest.python('len(kept)'), String(180 << 20));

    await assert.rejects(guest.python(`more = bytearray(b"y") * (${LIMIT_MIB} << 20)`));
    const stateOf = async (): Promise<string> => (await lab.host.getSandbox(guest.id)).state;
    while ((await stateOf()) !== 'failed') await sleep(20);
    const { stateReason } = await lab.host.getSandbox(guest.id);
    assert.equal(stateReason, 'it took more memory than its memory_limit_mib');
    const left = await readdir('/sys/fs/cgroup', { recursive: true });
    assert.deepEqual(
      left.filter((path) => path.endsWith(`/${guest.id}`)),
      [],
    );
    await lab.clean();
  });
});
