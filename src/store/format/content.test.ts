import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  capture,
  flipByte,
  linkAsSandbox,
  makeFixture,
  memoryOf,
  PAGE,
  RAM_BYTES,
  readMemory,
  snapshot,
  writeDisk,
  type Fixture,
} from '../../../test/support/store-fixture.js';
import { armFailpoint, armFailpoints, disarmFailpoints, firedFailpoints } from '../../base/index.js';
import { IntegrityError, NotDurable, SnapshotNotFound, type Store } from '../index.js';

/** Each step of persisting before the snapshot is durable. */
const PERSIST_STEPS = [
  'persist.started',
  'persist.cleared',
  'copy.chunk',
  'persist.layers-copied',
  'persist.disks-copied',
  'persist.vmstate-copied',
  'persist.described',
  'persist.synced',
  'persist.renamed',
  'persist.rename-synced',
];

const inode = async (path: string): Promise<number> => (await stat(path)).ino;

/** A template `a` with a disk, its child `b`, its grandchild `c`; all durable. */
async function threeGenerations(fixture: Fixture, store: Store): Promise<void> {
  const path = join(fixture.stateDir, 'images', 'base');
  await writeDisk(path, 'base image');
  const base = { id: 'base-1', path, format: 'raw' as const };
  await snapshot(store, {
    tag: 'a',
    pages: { 0: 1, 1: 1, 9: 1 },
    on: { layers: [], disks: [base] },
    tail: 'tail a',
  });
  const first = await linkAsSandbox(fixture, store, 'a', 'sb1');
  await snapshot(store, { tag: 'b', pages: { 1: 2, 20: 2 }, on: first, parentTag: 'a', tail: 'tail b' });
  const second = await linkAsSandbox(fixture, store, 'b', 'sb2');
  await snapshot(store, { tag: 'c', pages: { 20: 3, 63: 3 }, on: second, parentTag: 'b', tail: 'tail c' });
  for (const tag of ['a', 'b', 'c']) await store.durable(tag);
}

const GRANDCHILD = { 0: 1, 1: 2, 9: 1, 20: 3, 63: 3 };

/** As a reboot of the host would: the hot tier is empty, sandboxes are gone. */
async function reboot(fixture: Fixture, store: Store): Promise<Store> {
  await store.close();
  for (const folder of ['snapshots', 'sandboxes']) {
    await rm(join(fixture.hotDir, folder), { recursive: true, force: true });
  }
  await rm(join(fixture.stateDir, 'sandboxes'), { recursive: true, force: true });
  return fixture.reopen();
}

describe('persisting', () => {
  it('copies an object of another snapshot that cannot be linked, and leaves its holes', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a', pages: { 0: 1, 63: 9 } });
    const { dir } = await store.durable('a');
    const linked = await linkAsSandbox(fixture, store, 'a', 'sb1');
    armFailpoints('file.linking=errno:EMLINK');
    t.after(disarmFailpoints);
    await snapshot(store, { tag: 'b', pages: { 5: 3 }, on: linked, parentTag: 'a' });
    const copy = join((await store.durable('b')).dir, 'layers', `${linked.layers[0]?.id ?? ''}.bin`);
    assert.deepEqual(firedFailpoints(), ['file.linking']);
    assert.notEqual(await inode(copy), await inode(join(dir, 'memory.bin')));
    const reopened = await reboot(fixture, store);
    const { layers } = await linkAsSandbox(fixture, reopened, 'b', 'sb2');
    assert((await readMemory({ layers })).equals(memoryOf({ 0: 1, 5: 3, 63: 9 })));
  });

  it('copies exactly the runs and keeps the holes', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a', pages: { 0: 1, 2: 5, 3: 5, 63: 9 } });
    const { dir } = await store.durable('a');
    const file = join(dir, 'memory.bin');
    assert.deepEqual(await readFile(file), memoryOf({ 0: 1, 2: 5, 3: 5, 63: 9 }));
    const { size, blocks } = await stat(file);
    assert.equal(size, RAM_BYTES);
    assert.ok(blocks * 512 <= 8 * PAGE, `${blocks} blocks`);
  });

  it('links what a durable ancestor has', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await threeGenerations(fixture, store);
    const folder = join(fixture.stateDir, 'snapshots');
    const [own] = (await readdir(join(folder, 'b', 'layers'))).sort();
    assert.equal(
      await inode(join(folder, 'a', 'memory.bin')),
      await inode(join(folder, 'b', 'layers', own ?? '')),
    );
    const [a, c] = ['a', 'c'].map((tag) => join(folder, tag, 'disk', 'base-1.raw'));
    assert.equal(await inode(a ?? ''), await inode(c ?? ''));
    assert.equal(await inode(a ?? ''), await inode(join(fixture.stateDir, 'images', 'base')));
  });

  it('copies from the hot tier what belonged to a deleted ancestor', async (t) => {
    const fixture = await makeFixture(t);
    let store = await fixture.reopen();
    await snapshot(store, { tag: 'a', pages: { 0: 1, 5: 1 }, tail: 'tail a' });
    const linked = await linkAsSandbox(fixture, store, 'a', 'sb1');
    await store.remove('a');
    await snapshot(store, { tag: 'b', pages: { 5: 2 }, on: linked, parentTag: 'a' });
    await store.durable('b');
    assert.equal(store.get('b').parentTag, undefined);
    store = await reboot(fixture, store);
    const child = await linkAsSandbox(fixture, store, 'b', 'sb2');
    assert.deepEqual(await readMemory(child), memoryOf({ 0: 1, 5: 2 }));
    assert.equal(await readFile(child.disks[0]?.path ?? '', 'utf8'), 'tail a');
  });

  for (const step of PERSIST_STEPS) {
    it(`that fails at ${step} is done again, and nothing is missing`, async (t) => {
      t.after(disarmFailpoints);
      const fixture = await makeFixture(t);
      let store = await fixture.reopen();
      await snapshot(store, { tag: 'a', pages: { 0: 1 }, tail: 'tail a' });
      await store.durable('a');
      const on = await linkAsSandbox(fixture, store, 'a', 'sb');
      armFailpoints(`${step}=errno:EIO`);
      await snapshot(store, { tag: 'b', pages: { 5: 2 }, on, parentTag: 'a', tail: 'tail b' });
      while (store.get('b').warning === undefined) await setImmediate();
      assert.match(store.get('b').warning ?? '', /would not survive power loss: .*EIO/);
      store.persistAgain();
      assert.equal(store.get('b').warning, undefined);
      assert.equal((await store.durable('b')).durable, true);

      store = await reboot(fixture, store);
      const child = await linkAsSandbox(fixture, store, 'b', 'sb2');
      assert.deepEqual(await readMemory(child), memoryOf({ 0: 1, 5: 2 }));
      assert.deepEqual(await Promise.all(child.disks.map(({ path }) => readFile(path, 'utf8'))), [
        'tail a',
        'tail b',
      ]);
    });
  }

  it('takes place again after a deletion that failed', async (t) => {
    t.after(disarmFailpoints);
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    armFailpoints('persist.started=delay:50,delete.begun=errno:EIO');
    await snapshot(store, { tag: 'a' });
    await assert.rejects(store.remove('a'), { code: 'EIO' });
    store.persistAgain();
    assert.equal((await store.durable('a')).durable, true);
  });

  it('that failed leaves a snapshot that is deleted whole, also when the disk fails', async (t) => {
    t.after(disarmFailpoints);
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    armFailpoints('persist.started=errno:EROFS,delete.hot-renamed=errno:EROFS');
    await snapshot(store, { tag: 'a', tail: 'tail' });
    await assert.rejects(store.durable('a'), NotDurable);
    await store.remove('a');
    assert.deepEqual(store.list(), []);
    disarmFailpoints();
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
  });

  it('says why it failed, and leaves the snapshot usable, with a warning', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const { draft, fields } = await capture(store, { tag: 'a' });
    armFailpoints('persist.started=delay:100');
    t.after(disarmFailpoints);
    await draft.publish(fields);
    await rm(join(fixture.stateDir, 'snapshots', `.ready-${draft.id}`), { recursive: true, force: true });
    await writeFile(join(fixture.stateDir, 'snapshots', `.ready-${draft.id}`), 'in the way');
    await assert.rejects(store.durable('a'), NotDurable);
    const view = store.get('a');
    assert.deepEqual([view.status, view.durable], ['ready', false]);
    assert.match(view.warning ?? '', /would not survive power loss/);
    assert.deepEqual(await readMemory(await linkAsSandbox(fixture, store, 'a', 'sb')), memoryOf({ 0: 1 }));
  });
});

describe('acquire()', () => {
  it('brings layers back after a reboot, each once', async (t) => {
    const fixture = await makeFixture(t);
    let store = await fixture.reopen();
    await threeGenerations(fixture, store);
    store = await reboot(fixture, store);
    assert.deepEqual(
      store.list().map(({ tag, hot, durable }) => [tag, hot, durable]),
      ['a', 'b', 'c'].map((tag) => [tag, false, true]),
    );
    const children = await Promise.all(
      ['c', 'b', 'c'].map((tag, index) => linkAsSandbox(fixture, store, tag, `new${index}`)),
    );
    const [grandchild, child] = children;
    assert.ok(grandchild !== undefined && child !== undefined);
    assert.deepEqual(await readMemory(grandchild), memoryOf(GRANDCHILD));
    assert.deepEqual(await readMemory(child), memoryOf({ 0: 1, 1: 2, 9: 1, 20: 2 }));
    assert.equal(await inode(grandchild.layers[0]?.path ?? ''), await inode(child.layers[0]?.path ?? ''));
    const contents = await Promise.all(grandchild.disks.map(({ path }) => readFile(path, 'utf8')));
    assert.deepEqual(contents, ['base image', 'tail a', 'tail b', 'tail c']);
    assert.ok((await readdir(join(fixture.hotDir, 'snapshots'))).every((name) => !name.startsWith('.')));
  });

  for (const object of ['memory.bin', 'vmstate.bin', 'disk/base-1.raw']) {
    it(`refuses a snapshot with a flipped bit in ${object}, names it and puts it into quarantine`, async (t) => {
      const fixture = await makeFixture(t);
      let store = await fixture.reopen();
      await threeGenerations(fixture, store);
      store = await reboot(fixture, store);
      await flipByte(join(fixture.stateDir, 'snapshots', 'a', object), 3);
      await assert.rejects(store.acquire('a', 'test'), (error) => {
        assert.ok(error instanceof IntegrityError);
        assert.equal(error.object, object);
        assert.ok(error.quarantinedTo?.startsWith(join(fixture.stateDir, 'quarantine', 'a-')));
        return true;
      });
      assert.throws(() => store.get('a'), SnapshotNotFound);
      assert.equal((await readdir(join(fixture.stateDir, 'quarantine'))).length, 1);
    });
  }

  it('sees damage done while it is running, also on disks', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await threeGenerations(fixture, store);
    (await store.acquire('c', 'test')).release();
    await flipByte(join(fixture.stateDir, 'snapshots', 'c', 'disk', 'base-1.raw'), 0);
    await assert.rejects(store.acquire('c', 'test'), IntegrityError);
  });

  it('tells of the damage even if the snapshot cannot be put into quarantine, and again to the next', async (t) => {
    for (const place of ['quarantine.begun', 'quarantine.moved', 'quarantine.hot-renamed']) {
      const fixture = await makeFixture(t);
      let store = await fixture.reopen();
      await snapshot(store, { tag: 'a' });
      const { dir } = await store.durable('a');
      await store.close();
      await flipByte(join(dir, 'vmstate.bin'), 2);
      store = await reboot(fixture, store);
      const isNamed = { name: 'IntegrityError', object: 'vmstate.bin' };
      armFailpoints(`${place}=errno:EIO`);
      await assert.rejects(store.acquire('a', 'sandbox'), isNamed);
      assert.deepEqual(firedFailpoints(), [place]);
      disarmFailpoints();
      assert(fixture.events.includes('snapshot.not-quarantined'), place);
      if (place === 'quarantine.begun') await assert.rejects(store.acquire('a', 'sandbox'), isNamed);
      await assert.rejects(store.acquire('a', 'sandbox'), SnapshotNotFound);
      store = await fixture.reopen();
      await snapshot(store, { tag: 'a' });
      await store.durable('a');
    }
  });

  it('does not find what somebody begins to delete in the same moment', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    for (const isDurable of [false, true]) {
      await snapshot(store, { tag: 'a' });
      if (isDurable) await store.durable('a');
      const acquiring = assert.rejects(store.acquire('a', 'sandbox'), SnapshotNotFound);
      await store.remove('a');
      await acquiring;
    }
  });

  it('does not call a snapshot damaged whose copy in memory is taken away while it is made', async (t) => {
    t.after(disarmFailpoints);
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a', pages: { 4: 4 } });
    await store.durable('a');
    const folder = join(fixture.hotDir, 'snapshots');
    for (const place of ['load.staged', 'load.layer-read', 'load.layers-loaded', 'load.vmstate-loaded']) {
      await store.evict(0);
      armFailpoint(place, async () => {
        for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true });
      });
      await assert.rejects(store.acquire('a', 'sandbox'), { code: 'ENOENT' }, place);
      assert.deepEqual(firedFailpoints(), [place]);
      disarmFailpoints();
      (await store.acquire('a', 'sandbox')).release();
    }
    assert.deepEqual(await readMemory(await linkAsSandbox(fixture, store, 'a', 'sb')), memoryOf({ 4: 4 }));
  });

  it('reads a damaged hot copy again from the durable tier', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a', pages: { 4: 4 } });
    await store.durable('a');
    await flipByte(join(fixture.hotDir, 'snapshots', 'a', 'memory.bin'), 4 * PAGE);
    const results = await Promise.all(['x', 'y'].map((id) => linkAsSandbox(fixture, store, 'a', id)));
    for (const linked of results) assert.deepEqual(await readMemory(linked), memoryOf({ 4: 4 }));
    assert.ok(fixture.events.includes('hot-copy.damaged'));
  });

  it('refuses a snapshot that is not bootable', async (t) => {
    const store = await (await makeFixture(t)).reopen();
    const { draft, fields } = await capture(store, { tag: 'a' });
    await draft.publish({ ...fields, bootable: false, warning: 'the guest had panicked' });
    await assert.rejects(store.acquire('a', 'test'), /the guest had panicked/);
  });
});

describe('openStore()', () => {
  const damages: Record<string, (folder: string) => Promise<void>> = {
    'a flipped bit in the manifest': (folder) => flipByte(join(folder, 'manifest.json'), 40),
    'a torn manifest': (folder) => truncate(join(folder, 'manifest.json'), 100),
    'an empty manifest': (folder) => truncate(join(folder, 'manifest.json'), 0),
    'no manifest': (folder) => rm(join(folder, 'manifest.json')),
    'a truncated layer': (folder) => truncate(join(folder, 'memory.bin'), PAGE),
    'a missing ancestor layer': (folder) => rm(join(folder, 'layers'), { recursive: true }),
    'a grown device state': async (folder) => {
      await chmod(join(folder, 'vmstate.bin'), 0o600);
      await writeFile(join(folder, 'vmstate.bin'), 'x', { flag: 'a' });
    },
  };
  for (const [damage, inflict] of Object.entries(damages)) {
    it(`quarantines a snapshot with ${damage} and loads the others`, async (t) => {
      const fixture = await makeFixture(t);
      const store = await fixture.reopen();
      await threeGenerations(fixture, store);
      await store.close();
      await rm(join(fixture.hotDir, 'snapshots'), { recursive: true });
      await inflict(join(fixture.stateDir, 'snapshots', 'c'));
      const tags = (await fixture.reopen()).list().map(({ tag }) => tag);
      assert.deepEqual(tags, ['a', 'b']);
      assert.equal((await readdir(join(fixture.stateDir, 'quarantine'))).length, 1);
    });
  }

  it('does not take one snapshot for another that was renamed by hand', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
    await store.close();
    await rm(join(fixture.hotDir, 'snapshots'), { recursive: true });
    const folder = join(fixture.stateDir, 'snapshots');
    await promisify(execFile)('cp', ['-a', join(folder, 'a'), join(folder, 'b')]);
    const tags = (await fixture.reopen()).list().map(({ tag }) => tag);
    assert.deepEqual(tags, ['a']);
  });
});

describe('addAncestry()', () => {
  it('copies an image from another file system once and links it from then on', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    // The hot tier is another file system, but not inside the store.
    const path = `${fixture.hotDir}-image`;
    await writeDisk(path, 'base image');
    t.after(() => rm(path));
    const on = { layers: [], disks: [{ id: 'base-1', path, format: 'raw' as const }] };
    for (const tag of ['a', 'b']) {
      await snapshot(store, { tag, on });
      await store.durable(tag);
    }
    const [a, b] = ['a', 'b'].map((tag) => join(fixture.stateDir, 'snapshots', tag, 'disk', 'base-1.raw'));
    assert.equal(await readFile(a ?? '', 'utf8'), 'base image');
    assert.equal(await inode(a ?? ''), await inode(b ?? ''));
  });
});
