import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, before, describe, it } from 'node:test';
import type { CallContext } from '../../src/sandbox/host/call.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import { forged } from '../support/archive-forge.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { emptyFolders, TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

const CALL: CallContext = ownCall();

describe('a snapshot that goes to another host', { timeout: limitMs(400_000) }, () => {
  let here: Lab;
  let there: Lab;
  before(async () => {
    here = await Lab.open('leaving');
    there = await Lab.open('arriving', { folders: await emptyFolders('arriving') });
  });
  after(async () => {
    await there.close();
    await here.close();
  });

  it('starts there with the memory and the disk it had, and with a secret that was never here', async () => {
    const source = await here.spawn();
    await source.python('globals().update(kept=list(range(1000)))');
    await source.shell('dd if=/dev/urandom of=/srv/random bs=64k count=40 2>/dev/null && sync');
    const sum = await source.shell('sha256sum < /srv/random');
    const tag = await here.branch(source);
    const { bytes, digest } = await here.host.hub.export(tag, CALL);
    const imported = await there.host.hub.import({ tag: 'came', allowUnsigned: true, bytes }, CALL);
    assert.deepEqual([imported.digest, imported.signedBy], [digest, undefined]);
    assert.deepEqual(await vmProcesses(there.folders.hotDir), []);

    const child = await there.spawn('came');
    assert.equal(await child.python('sum(kept)'), '499500');
    assert.equal(await child.shell('sha256sum < /srv/random'), sum);
    const [theirs, ours] = await Promise.all([
      readRecord(sandboxPaths(there.folders, child.id).record),
      readRecord(sandboxPaths(here.folders, source.id).record),
    ]);
    assert.notEqual(theirs.agent.secret, ours.agent.secret);
    // It goes on as any snapshot does.
    const grandchild = await there.spawn(await there.branch(child));
    assert.equal(await grandchild.python('kept[-1]'), '999');
    assert.equal((await there.host.snapshotInfo('came')).parentTag, undefined);
    // Folded, with what is at both ends of its disk.
    await there.host.compactSnapshot(await there.branch(grandchild), 'folded');
    const folded = await there.spawn('folded');
    assert.equal(await folded.shell('sha256sum < /srv/random'), sum);
    const lastMiB = 'skip=$(($(cat /sys/block/vda/size) / 2048 - 1))';
    await folded.shell(`dd if=/dev/vda of=/dev/null bs=1M count=1 iflag=direct ${lastMiB}`);
    await there.clean();
    await here.clean();
  });

  describe('where its memory cannot be loaded', () => {
    let bare: Lab;
    let archive: Buffer;
    before(async () => {
      archive = await buffer((await here.host.hub.export(TEMPLATE_TAG, CALL)).bytes);
      const cacheDir = await mkdtemp(join(tmpdir(), 'bough-no-images-'));
      const folders = await emptyFolders('bare');
      bare = await Lab.open('bare', { folders: { ...folders, cacheDir, accelerator: 'tcg' } });
    });
    afterEach(() => bare.clean());
    after(async () => {
      await bare.close();
      await rm(bare.folders.cacheDir, { recursive: true });
    });

    const others: readonly (readonly [what: string, machine: Record<string, string>, why: RegExp])[] = [
      ['QEMU', { qemuVersion: '1.0.0' }, /^its QEMU version is 1\.0, this host has \d+\.\d+$/],
      ['CPU', { accel: 'tcg', cpuModel: 'qemu64' }, /^its CPU model is qemu64, this host has max(,|$)/],
      ['accelerator', { accel: 'kvm' }, /^its accelerator is kvm, this host has tcg$/],
    ];
    for (const [what, machine, why] of others)
      it(`is booted there from the image that came along: another ${what}`, async () => {
        const config = Object.fromEntries(
          Object.entries(machine).map(([key, value]) => [`machine.${key}`, value]),
        );
        const spec = { tag: 'again', allowUnsigned: true, bytes: inOne(forged(archive, { config })) };
        const { snapshot } = await bare.host.hub.import(spec, CALL);
        assert.match(snapshot.rebuilt ?? '', why);
        const guest = await bare.spawn('again');
        assert.equal(await guest.python('int(np.arange(10).sum())'), '45');
        await assert.rejects(readdir(join(bare.folders.cacheDir, 'images')), { code: 'ENOENT' });
      });
  });
});

async function* inOne(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}
