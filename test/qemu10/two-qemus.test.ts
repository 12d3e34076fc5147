import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { DEFAULT_QEMU_PATH, probeQemu } from '../../src/vmm/index.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusedWith } from '../support/refusal.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG, TEST_QEMU_PATH } from '../support/test-host.js';

describe('a snapshot that another release of QEMU made', { timeout: 300_000 }, () => {
  let folders: OwnFolders;
  before(async () => {
    folders = await foldersWithTemplate('two-qemus');
  });
  after(() => folders.remove());

  it('is refused by name, with both releases, and starts nothing', async () => {
    const made = (await probeQemu(TEST_QEMU_PATH)).version.split('.').slice(0, 2).join('.');
    const here = (await probeQemu(DEFAULT_QEMU_PATH)).version.split('.').slice(0, 2).join('.');
    assert.notEqual(made, here, 'both are the same release: there is nothing to refuse');
    const other = { ...folders, qemuPath: DEFAULT_QEMU_PATH };
    const host = await openHost({ ...other, maxConcurrentBranches: 1, emit: () => undefined });
    try {
      const spawning = host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1 });
      const { details } = await refusedWith('snapshot_incompatible', 409, spawning);
      const { field, wanted, found } = details as Record<string, string>;
      assert.deepEqual([field, wanted, found], ['QEMU version', made, here]);
      assert.deepEqual(await vmProcesses(folders.hotDir), []);
    } finally {
      await host.close();
    }
  });
});
