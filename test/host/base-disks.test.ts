import assert from 'node:assert/strict';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { createSnapshot } from '../../src/sandbox/start/create-snapshot.js';
import type { ManifestDisk } from '../../src/store/format/manifest.js';
import { bootSteps, contextOver } from '../faults/host-parts.js';
import { openIn } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';

describe('the base disk of a template', () => {
  let copies: WorldCopies;
  before(async () => {
    copies = await WorldCopies.open();
  });
  afterEach(() => copies.clean());
  after(() => copies.close());

  it('has an id and a digest of what it holds: two builds of one name, size and time are two disks', async () => {
    const dirs = await copies.make();
    const store = await openIn(dirs);
    try {
      const [kernel, rootfs] = [join(dirs.stateDir, 'kernel'), join(dirs.stateDir, 'rootfs')];
      await writeFile(kernel, 'kernel');
      const template = async (tag: string, bytes: string, path = rootfs): Promise<[ManifestDisk, string]> => {
        await writeFile(path, bytes);
        await utimes(path, 1, 1);
        const request = { tag, image: { kernel, rootfs: path }, memoryMiB: 1 };
        await createSnapshot(contextOver(dirs, store), request, {}, bootSteps());
        await store.durable(tag);
        const folder = join(dirs.stateDir, 'snapshots', tag);
        const { disks, image } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as {
          disks: [ManifestDisk];
          image: { digest: string };
        };
        assert.equal(await readFile(join(folder, disks[0].file), 'utf8'), bytes);
        return [disks[0], image.digest];
      };
      const [monday, mondayImage] = await template('monday', 'packages of Monday');
      const [friday, fridayImage] = await template('friday', 'packages of Friday');
      assert.notEqual(friday.id, monday.id);
      assert.notEqual(friday.sha256, monday.sha256);
      assert.notEqual(fridayImage, mondayImage);
      const elsewhere = await template('elsewhere', 'packages of Monday', join(dirs.stateDir, 'other'));
      assert.deepEqual(elsewhere, [monday, mondayImage]);
    } finally {
      await store.close();
    }
  });
});
