import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import { probeQemu } from '../../src/vmm/index.js';
import { foreignSnapshot } from '../support/foreign-snapshot.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusedWith } from '../support/refusal.js';
import { TEST_QEMU_PATH } from '../support/test-host.js';
import { foldersWithTemplate } from '../support/template-copy.js';

describe('a snapshot that another correction of this QEMU made', { timeout: 180_000 }, () => {
  let lab: Lab;
  let version: string;
  let otherVersion: string;
  before(async () => {
    ({ version } = await probeQemu(TEST_QEMU_PATH));
    const [major, minor, correction] = version.split('.');
    otherVersion = [major, minor, Number(correction) + 1].join('.');
    const folders = await foldersWithTemplate('correction');
    await foreignSnapshot(folders, 'corrected', { qemuVersion: otherVersion });
    await foreignSnapshot(folders, 'broken', { qemuVersion: otherVersion }, (state) =>
      state.subarray(0, state.length / 2),
    );
    lab = await Lab.open('correction', { folders });
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('starts, and what is branched from its child says which QEMU saved it', async () => {
    const child = await lab.spawn('corrected');
    assert.equal(await child.python('6 * 7'), '42');
    const grandchild = await lab.spawn(await lab.branch(child));
    assert.equal(await grandchild.python('6 * 7'), '42');
    const { machine } = await readRecord(sandboxPaths(lab.folders, grandchild.id).record);
    assert.equal(machine.qemuVersion, version);
  });

  it('is refused with both versions and what QEMU said where it really cannot be loaded', async () => {
    const refused = await refusedWith('snapshot_incompatible', 409, lab.spawn('broken'));
    const { field, wanted, found, problem } = refused.details as Record<string, string>;
    assert.deepEqual([field, wanted, found], ['QEMU version', otherVersion, version]);
    assert.match(problem ?? '', /qemu-system|migration|load/);
    assert(refused.message.includes(problem ?? 'nothing'), refused.message);
    assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
  });
});
