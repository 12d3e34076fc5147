import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { Lab } from '../support/lab.js';
import { refusedWith } from '../support/refusal.js';
import { foldersWithTemplate, plantTemplate, type OwnFolders } from '../support/template-copy.js';
import { emptyFolders } from '../support/test-host.js';
import { leaveFree, mountTmpfs, noTmpfs } from '../support/tmpfs.js';

const TMPFS_MIB = 2048;
/** Enough for a sandbox, too little for a branch of 200 MiB. */
const FREE_MIB = 150;

describe('a store without room', { skip: noTmpfs, timeout: 180_000 }, () => {
  for (const [store, openFolders] of [
    ['hot', foldersWithHotTmpfs],
    ['durable', foldersWithStateTmpfs],
  ] as const) {
    describe(store, () => {
      let lab: Lab;
      before(async () => {
        lab = await Lab.open(`no-${store}`, { folders: await openFolders() });
      });
      afterEach(() => lab.clean());
      after(() => lab.close());

      it('is named when a branch does not fit; the source runs and nothing is left', async () => {
        const source = await lab.spawn();
        await leaveFree(store === 'hot' ? lab.folders.hotDir : lab.folders.stateDir, FREE_MIB);
        await source.python('memory = bytearray(b"x") * (200 << 20)');
        const refused = await refusedWith('no_space', 507, lab.branch(source, { tag: 'too-big' }));
        assert.equal(refused.details['store'], store);
        assert.equal(await source.python('6 * 7'), '42');
        await refusedWith('snapshot_not_found', 404, lab.host.getSnapshot('too-big'));
        assert.deepEqual(await lab.leftovers(), []);
      });
    });
  }

  it('stops a guest that writes to its disk, says so, and lets it go on once there is room; nothing is lost', async () => {
    const folders = await foldersWithStateTmpfs();
    const lab = await Lab.open('no-disk', { folders });
    try {
      const source = await lab.spawn();
      await leaveFree(folders.stateDir, 8);
      const writing = source.shell(
        'head -c 30000000 /dev/urandom > /root/big; sha256sum /root/big > /root/sum; sync',
      );
      const warning = async (): Promise<string> => (await lab.host.getSandbox(source.id)).warning ?? '';
      while (!(await warning()).includes('no room')) await sleep(50);
      assert.equal((await lab.host.getSandbox(source.id)).state, 'running');
      await leaveFree(folders.stateDir, 500);
      await writing;
      assert.equal(await warning(), '');
      const child = await lab.spawn(await lab.branch(source));
      await child.shell('echo 3 > /proc/sys/vm/drop_caches; sha256sum -c /root/sum');
      await lab.clean();
    } finally {
      await lab.close();
    }
  });
});

async function foldersWithHotTmpfs(): Promise<OwnFolders> {
  const folders = await foldersWithTemplate('no-hot');
  const unmount = await mountTmpfs(folders.hotDir, TMPFS_MIB);
  return { ...folders, remove: () => unmount().then(folders.remove) };
}

async function foldersWithStateTmpfs(): Promise<OwnFolders> {
  const folders = await emptyFolders('no-durable');
  const unmount = await mountTmpfs(folders.stateDir, TMPFS_MIB);
  await plantTemplate(folders.stateDir, 'copied');
  return { ...folders, remove: () => unmount().then(folders.remove) };
}
