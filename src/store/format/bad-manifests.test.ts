import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { linkAsSandbox, makeFixture, snapshot, type Fixture } from '../../../test/support/store-fixture.js';
import { SnapshotInUse } from '../errors.js';
import { readManifest, writeManifest } from './manifest-file.js';
import { diskFile, layerFile, type Manifest } from './manifest.js';

const hexId = (index: number): string => index.toString(16).padStart(24, '0');
const ancestors = (count: number): Manifest['ancestors'] =>
  Array.from({ length: count }, (_, index) => ({ tag: `t${index}`, id: hexId(index) }));

/** Manifests with a right checksum that no program of ours writes, and what is said of each. */
const BAD: Readonly<Record<string, readonly [(manifest: Manifest) => object, RegExp]>> = {
  'its own ancestor': [
    ({ id, ancestors: found }) => ({ ancestors: [...found, { tag: 'bad', id }] }),
    /duplicate ancestor id/,
  ],
  'an ancestor twice': [
    ({ ancestors: [parent] }) => ({ ancestors: [parent, { ...parent, tag: 'other' }] }),
    /duplicate ancestor id/,
  ],
  '10,000 ancestors': [() => ({ ancestors: ancestors(10_000) }), /ancestors/],
  'a layer twice': [
    ({ layers: [first, ...rest] }) => ({ layers: [first, first, ...rest] }),
    /duplicate layer id/,
  ],
  'a layer under its own id': [
    ({ id, layers: [first, ...rest] }) => ({ layers: [{ ...first, id, file: layerFile(id) }, ...rest] }),
    /duplicate layer id/,
  ],
  '65 layers': [
    ({ layers }) => ({
      layers: [
        ...Array.from({ length: 64 }, (_, index) => ({
          ...layers[0],
          id: hexId(index),
          file: layerFile(hexId(index)),
        })),
        layers.at(-1),
      ],
    }),
    /layers/,
  ],
  'no layer': [() => ({ layers: [] }), /layers/],
  'a disk twice': [({ disks: [disk] }) => ({ disks: [disk, disk] }), /duplicate disk id/],
  '65 disks': [
    ({ disks: [disk] }) => ({
      disks: Array.from({ length: 65 }, (_, index) => ({
        ...disk,
        id: hexId(index),
        file: diskFile(hexId(index), disk?.format ?? ''),
      })),
    }),
    /disks/,
  ],
  'a file elsewhere': [
    ({ layers: [first, ...rest] }) => ({ layers: [{ ...first, file: '../good/memory.bin' }, ...rest] }),
    /is in \.\.\/good\/memory\.bin/,
  ],
};

/** Snapshots `good` and, on top of it, `bad`; the store is closed and nothing is in memory. */
async function twoSnapshots(t: TestContext): Promise<Fixture> {
  const fixture = await makeFixture(t);
  const store = await fixture.reopen();
  await snapshot(store, { tag: 'good', tail: 'tail' });
  const on = await linkAsSandbox(fixture, store, 'good', 'sb');
  await snapshot(store, { tag: 'bad', on, parentTag: 'good', pages: { 2: 2 } });
  for (const tag of ['good', 'bad']) await store.durable(tag);
  await store.close();
  await rm(join(fixture.hotDir, 'snapshots'), { recursive: true });
  return fixture;
}

/** Puts a manifest with a right checksum in place of a snapshot's. */
async function rewrite(fixture: Fixture, tag: string, change: (manifest: Manifest) => object): Promise<void> {
  const folder = join(fixture.stateDir, 'snapshots', tag);
  const manifest = await readManifest(folder);
  for (const name of ['manifest.json', 'manifest.sha256']) await rm(join(folder, name));
  await writeManifest(folder, { ...manifest, ...change(manifest) }, false);
}

describe('a manifest with', () => {
  for (const [what, [change, said]] of Object.entries(BAD)) {
    it(`${what} is refused by name when the store is opened, and kept aside`, async (t) => {
      const fixture = await twoSnapshots(t);
      await rewrite(fixture, 'bad', change);
      const refused: unknown[] = [];
      const store = await fixture.reopen({ emit: (event, facts) => refused.push([event, facts]) });
      assert.deepEqual(
        store.list().map(({ tag }) => tag),
        ['good'],
      );
      const [[event, facts] = []] = refused as [string, { tag: string; reason: string }][];
      assert.deepEqual([event, facts?.tag], ['snapshot.quarantined', 'bad']);
      assert.match(facts?.reason ?? '', said);
      const [kept = '', ...others] = await readdir(join(fixture.stateDir, 'quarantine'));
      assert.match(kept, /^bad-/);
      assert.deepEqual(others, []);
      (await store.acquire('good', 'sandbox')).release();
    });
  }

  it('an ancestor that descends from it ends in two snapshots that need each other, not in a loop', async (t) => {
    const fixture = await twoSnapshots(t);
    const { id } = await readManifest(join(fixture.stateDir, 'snapshots', 'bad'));
    await rewrite(fixture, 'good', () => ({ ancestors: [{ tag: 'bad', id }] }));
    const store = await fixture.reopen();
    assert.deepEqual(store.get('good').parentTag, 'bad');
    assert.deepEqual((await store.info('bad')).ancestors, ['good']);
    (await store.acquire('bad', 'sandbox')).release();
    for (const tag of ['good', 'bad']) await assert.rejects(store.remove(tag), SnapshotInUse);
    await store.remove('good', { cascade: true });
    assert.deepEqual(store.list(), []);
  });
});
