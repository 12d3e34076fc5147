import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  flipByte,
  linkAsSandbox,
  makeFixture,
  snapshot,
  writeDisk,
  type Fixture,
} from '../../../test/support/store-fixture.js';
import { IntegrityError } from '../index.js';
import { readManifest, writeManifest } from './manifest-file.js';

/**
 * Makes a durable snapshot what an earlier program would have written: version 1, plain digests of disk
 * files.
 */
async function writeAsVersion1({ stateDir, hotDir }: Fixture, tag: string): Promise<void> {
  const folder = join(stateDir, 'snapshots', tag);
  const manifest = await readManifest(folder);
  const disks = await Promise.all(
    manifest.disks.map(async (disk) => ({
      ...disk,
      sha256: createHash('sha256')
        .update(await readFile(join(folder, disk.file)))
        .digest('hex'),
    })),
  );
  for (const name of ['manifest.json', 'manifest.sha256']) await rm(join(folder, name));
  await writeManifest(folder, { ...manifest, version: 1, disks }, true);
  await rm(join(hotDir, 'snapshots', tag), { recursive: true, force: true });
}

async function withOldSnapshot(fixture: Fixture): Promise<void> {
  const path = join(fixture.stateDir, 'images', 'base');
  await writeDisk(path, 'base image');
  const store = await fixture.reopen();
  await snapshot(store, {
    tag: 'old',
    on: { layers: [], disks: [{ id: 'base', path, format: 'raw' }] },
    tail: 'tail',
  });
  await store.durable('old');
  await store.close();
  await writeAsVersion1(fixture, 'old');
}

describe('a snapshot of version 1', () => {
  it('can be used, and what is made from it is of this version', async (t) => {
    const fixture = await makeFixture(t);
    await withOldSnapshot(fixture);
    let store = await fixture.reopen();
    const linked = await linkAsSandbox(fixture, store, 'old', 'sb1');
    await snapshot(store, { tag: 'new', on: linked, parentTag: 'old', tail: 'more' });
    const { dir } = await store.durable('new');
    const { version, disks } = await readManifest(dir);
    assert.equal(version, 2);
    assert.deepEqual(
      disks.map(({ sha256 = '' }) => sha256.startsWith('sparse:')),
      [false, false, true],
    );
    store = await fixture.reopen();
    for (const tag of ['old', 'new']) (await store.acquire(tag, 'sandbox')).release();
  });

  it('is refused when a disk file does not match', async (t) => {
    const fixture = await makeFixture(t);
    await withOldSnapshot(fixture);
    await flipByte(join(fixture.stateDir, 'snapshots', 'old', 'disk', 'base.raw'), 2);
    const store = await fixture.reopen();
    await assert.rejects(store.acquire('old', 'sandbox'), IntegrityError);
  });
});
