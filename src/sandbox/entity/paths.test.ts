import assert from 'node:assert/strict';
import { chown, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { overlaysDir, prepareSharedFolders, sandboxesDir } from './paths.js';

describe('prepareSharedFolders()', () => {
  it('makes them, and refuses each that is a link or belongs to someone else', async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'bough-paths-'));
    t.after(() => rm(root, { recursive: true }));
    const tiers = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    await prepareSharedFolders(tiers);
    assert.deepEqual((await readdir(root, { recursive: true })).sort(), [
      'hot',
      'hot/sandboxes',
      'state',
      'state/overlays',
      'state/sandboxes',
    ]);
    for (const path of [sandboxesDir(tiers.stateDir), sandboxesDir(tiers.hotDir), overlaysDir(tiers)]) {
      await rm(path, { recursive: true });
      await symlink('/tmp', path);
      await assert.rejects(prepareSharedFolders(tiers), {
        name: 'BadStoreFolder',
        message: `Cannot use ${path}: it is a symbolic link; name the folder itself`,
      });
      await rm(path);
      await mkdir(path, { mode: 0o700 });
      if (process.getuid?.() === 0) {
        await chown(path, 12345, 12345);
        await assert.rejects(prepareSharedFolders(tiers), /it belongs to uid 12345/);
        await chown(path, 0, 0);
      }
      await prepareSharedFolders(tiers);
    }
  });
});
