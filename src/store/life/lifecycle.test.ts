import assert from 'node:assert/strict';
import {
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
  chmod,
  statfs,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  capture,
  linkAsSandbox,
  makeFixture,
  memoryOf,
  PAGE,
  RAM_BYTES,
  readMemory,
  snapshot,
  writeDisk,
} from '../../../test/support/store-fixture.js';
import { armFailpoints, disarmFailpoints, firedFailpoints } from '../../base/index.js';
import {
  BadStoreFolder,
  NoSpace,
  NotDurable,
  openStore,
  SnapshotNotFound,
  SnapshotUnusable,
  StoreLocked,
  StoreTooNew,
  TagExists,
} from '../index.js';
import { writeManifest, readManifest } from '../format/manifest-file.js';

describe('draft', () => {
  it('is listed as writing, then ready, then durable', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const { draft, fields } = await capture(store, { tag: 'a', branchedFrom: 'sb1' });
    draft.note({ pauseMs: 2 });
    const writing = store.get('a');
    assert.deepEqual([writing.status, writing.bootable, writing.pauseMs], ['writing', false, 2]);
    const view = await draft.publish(fields);
    assert.deepEqual(
      [view.status, view.bootable, view.pauseMs, view.branchedFrom],
      ['ready', true, 1.5, 'sb1'],
    );
    assert.equal(view.memoryPhysicalBytes, PAGE);
    const durable = await store.durable('a');
    assert.equal(durable.durable, true);
    assert.equal(durable.dir, join(fixture.stateDir, 'snapshots', 'a'));
    assert.deepEqual(
      store.list().map(({ tag }) => tag),
      ['a'],
    );
  });

  it('tells from the first which request makes it, also when the store is opened again', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const requestKey = { keySha256: 'a'.repeat(64), requestSha256: 'b'.repeat(64) };
    const { draft, fields } = await capture(store, { tag: 'a', requestKey });
    assert.deepEqual(store.get('a').requestKey, requestKey);
    assert.deepEqual((await draft.publish(fields)).requestKey, requestKey);
    await store.durable('a');
    assert.equal((await store.compact('a', { to: 'flat' })).requestKey, undefined);
    const otherKey = { ...requestKey, keySha256: 'c'.repeat(64) };
    await store.compact('a', { to: 'flat2', requestKey: otherKey });
    await store.durable('flat2');
    await store.close();
    await rm(join(fixture.hotDir, 'snapshots'), { recursive: true });
    const again = await fixture.reopen();
    assert.deepEqual(again.get('a').requestKey, requestKey);
    assert.deepEqual(again.get('flat2').requestKey, otherKey);
  });

  it('takes the tag for exactly one of two concurrent callers', async (t) => {
    const store = await (await makeFixture(t)).reopen();
    const results = await Promise.allSettled([
      store.draft({ tag: 'a', mode: 'live' }),
      store.draft({ tag: 'a', mode: 'live' }),
    ]);
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    await assert.rejects(store.draft({ tag: 'a', mode: 'full' }), TagExists);
    await assert.rejects(store.draft({ tag: '../a', mode: 'full' }), TypeError);
  });

  it('leaves nothing when abandoned', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const { draft } = await capture(store, { tag: 'a' });
    await Promise.all([draft.abandon(), draft.abandon()]);
    assert.deepEqual(store.list(), []);
    for (const folder of [fixture.stateDir, fixture.hotDir]) {
      assert.deepEqual(await readdir(join(folder, 'snapshots')), []);
    }
    assert.deepEqual(await readdir(join(fixture.hotDir, 'failed')), []);
    await snapshot(store, { tag: 'a' });
  });

  it('leaves nothing when it cannot be published', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const { draft, fields } = await capture(store, { tag: 'a' });
    const wrong = { ...fields, memory: { ...fields.memory, logicalBytes: RAM_BYTES * 2 } };
    await assert.rejects(draft.publish(wrong), /memory\.bin has/);
    await assert.rejects(store.acquire('a', 'test'), SnapshotNotFound);
    assert.deepEqual(await readdir(join(fixture.hotDir, 'snapshots')), []);
    assert.deepEqual(await readdir(join(fixture.stateDir, 'snapshots')), []);
  });

  it('that failed stays listed with its reason until the tag is used again', async (t) => {
    const fixture = await makeFixture(t);
    let store = await fixture.reopen();
    const { draft } = await capture(store, { tag: 'a' });
    await draft.announce();
    await draft.abandon('the source died');
    store = await fixture.reopen();
    const failed = store.get('a');
    assert.deepEqual([failed.status, failed.warning], ['failed', 'the source died']);
    await assert.rejects(store.acquire('a', 'test'), SnapshotUnusable);
    await snapshot(store, { tag: 'a' });
    store = await fixture.reopen();
    assert.equal(store.get('a').status, 'ready');
    await store.remove('a');
    assert.deepEqual((await fixture.reopen()).list(), []);
  });

  it('is refused when a tier cannot hold it, counting what other drafts were promised', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const { bavail, bsize } = await statfs(fixture.hotDir);
    const most = Math.floor(bavail * bsize * 0.7);
    const first = await store.draft({ tag: 'a', mode: 'live', reserveHotBytes: most });
    await assert.rejects(store.draft({ tag: 'b', mode: 'live', reserveHotBytes: most }), (error) => {
      assert.ok(error instanceof NoSpace);
      assert.deepEqual([error.store, error.neededBytes], ['hot', most]);
      return true;
    });
    assert.throws(() => store.get('b'), SnapshotNotFound);
    await first.abandon();
    await (await store.draft({ tag: 'b', mode: 'live', reserveHotBytes: most })).abandon();
    await assert.rejects(store.draft({ tag: 'b', mode: 'live', reserveDurableBytes: 2 ** 52 }), NoSpace);
  });

  it('calls a quota that is used up no space, and leaves nothing', async (t) => {
    t.after(disarmFailpoints);
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    for (const place of ['copy.chunk', 'manifest.unsigned']) {
      const { draft, fields } = await capture(store, { tag: 'a' });
      armFailpoints(`${place}=errno:EDQUOT`);
      if (place === 'copy.chunk') {
        await draft.publish(fields);
        const error = await store.durable('a').catch((reason: unknown) => reason);
        assert.ok(error instanceof NotDurable && error.cause instanceof NoSpace, String(error));
        assert.equal(error.cause.store, 'durable');
        await store.remove('a');
      } else {
        await assert.rejects(draft.publish(fields), { name: 'NoSpace', store: 'hot' });
      }
      assert.deepEqual(firedFailpoints(), [place]);
      disarmFailpoints();
      for (const folder of [fixture.stateDir, fixture.hotDir])
        assert.deepEqual(await readdir(join(folder, 'snapshots')), []);
    }
  });

  it('makes acquire wait until it settles', async (t) => {
    const store = await (await makeFixture(t)).reopen();
    const { draft, fields } = await capture(store, { tag: 'a' });
    const waiting = store.acquire('a', 'test');
    const caller = new AbortController();
    const givenUp = store.acquire('a', 'test', caller.signal);
    caller.abort(new Error('gave up'));
    await assert.rejects(givenUp, /gave up/);
    await draft.publish(fields);
    (await waiting).release();
  });
});

describe('openStore()', () => {
  it('lists hot and durable snapshots again, and makes hot ones durable', async (t) => {
    const fixture = await makeFixture(t);
    let store = await fixture.reopen();
    await writeDisk(join(fixture.stateDir, 'images', 'base'), 'base image');
    const base = { id: 'base-1', path: join(fixture.stateDir, 'images', 'base'), format: 'raw' as const };
    const { draft, fields } = await capture(store, {
      tag: 'a',
      tail: 'tail',
      on: { layers: [], disks: [base] },
    });
    await draft.publish(fields);
    await store.close();
    store = await fixture.reopen();
    assert.equal(store.get('a').status, 'ready');
    await store.durable('a');
    const folder = join(fixture.stateDir, 'snapshots', 'a');
    assert.equal(await readFile(join(folder, 'disk', 'base-1.raw'), 'utf8'), 'base image');
    assert.equal(await readFile(join(folder, 'disk', `${draft.id}.qcow2`), 'utf8'), 'tail');
  });

  it('removes drafts of a crashed daemon and reports the announced ones as failed', async (t) => {
    const fixture = await makeFixture(t);
    let store = await fixture.reopen();
    await capture(store, { tag: 'silent' });
    const { draft } = await capture(store, { tag: 'announced' });
    await draft.announce();
    const listed = (): string[][] => store.list().map(({ tag, status }) => [tag, status]);
    store = await fixture.reopen();
    assert.deepEqual(listed(), [['announced', 'failed']]);
    // Where earlier versions have noted it.
    await cp(join(fixture.hotDir, 'failed'), join(fixture.stateDir, 'failed'), { recursive: true });
    await rm(join(fixture.hotDir, 'failed'), { recursive: true });
    store = await fixture.reopen();
    assert.deepEqual(listed(), [['announced', 'failed']]);
    assert.deepEqual(await readdir(join(fixture.hotDir, 'failed')), ['announced.json']);
    assert(!(await readdir(fixture.stateDir)).includes('failed'));
    for (const folder of [fixture.stateDir, fixture.hotDir]) {
      assert.deepEqual(await readdir(join(folder, 'snapshots')), []);
    }
  });

  it('removes a publish that crashed between its two renames', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const { draft } = await capture(store, { tag: 'a' });
    const staging = join(fixture.stateDir, 'snapshots', `.writing-${draft.id}`);
    await rename(staging, join(fixture.stateDir, 'snapshots', `.ready-${draft.id}`));
    assert.deepEqual((await fixture.reopen()).list(), []);
    assert.deepEqual(await readdir(join(fixture.stateDir, 'snapshots')), []);
  });

  it('starts a persist over that crashed in the middle', async (t) => {
    const fixture = await makeFixture(t);
    let store = await fixture.reopen();
    const { id } = await snapshot(store, { tag: 'a', pages: { 3: 7 } });
    await store.durable('a');
    await store.close();
    // As it was before the last rename, with a torn layer.
    const ready = join(fixture.stateDir, 'snapshots', `.ready-${id}`);
    await rename(join(fixture.stateDir, 'snapshots', 'a'), ready);
    await chmod(join(ready, 'memory.bin'), 0o600);
    await writeFile(join(ready, 'memory.bin'), 'torn');
    store = await fixture.reopen();
    assert.equal(store.get('a').durable, false);
    await store.durable('a');
    await rm(join(fixture.hotDir, 'snapshots'), { recursive: true });
    store = await fixture.reopen();
    assert.deepEqual(await readMemory(await linkAsSandbox(fixture, store, 'a', 'sb')), memoryOf({ 3: 7 }));
  });

  it('completes a deletion that crashed after its rename', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
    await store.close();
    for (const folder of [fixture.stateDir, fixture.hotDir]) {
      await rename(join(folder, 'snapshots', 'a'), join(folder, 'snapshots', '.deleted-x'));
    }
    assert.deepEqual((await fixture.reopen()).list(), []);
    assert.deepEqual(await readdir(join(fixture.stateDir, 'snapshots')), []);
  });

  it('refuses a second daemon on either folder', async (t) => {
    const fixture = await makeFixture(t);
    await fixture.reopen();
    const { stateDir, hotDir } = fixture;
    await assert.rejects(openStore({ stateDir, hotDir }), StoreLocked);
    await assert.rejects(openStore({ stateDir: join(stateDir, 'other'), hotDir }), StoreLocked);
  });

  it('refuses folders which are none, are links, or which others may write to', async (t) => {
    const { stateDir, hotDir } = await makeFixture(t);
    const open = (path: string): Promise<unknown> => openStore({ stateDir: path, hotDir });
    await symlink(stateDir, join(stateDir, 'link'));
    await assert.rejects(open(join(stateDir, 'link')), /symbolic link/);
    await writeFile(join(stateDir, 'file'), '');
    await assert.rejects(open(join(stateDir, 'file')), /not a folder/);
    await mkdir(join(stateDir, 'lax'));
    await chmod(join(stateDir, 'lax'), 0o777);
    await assert.rejects(open(join(stateDir, 'lax')), /others may write/);
    await assert.rejects(open(join(stateDir, 'file', 'below')), BadStoreFolder);
  });

  for (const [tier, name] of [
    ['stateDir', 'snapshots'],
    ['stateDir', 'quarantine'],
    ['hotDir', 'failed'],
  ] as const) {
    it(`refuses a link or a foreign folder as ${name}/`, async (t) => {
      const fixture = await makeFixture(t);
      const { stateDir, hotDir } = fixture;
      const path = join(fixture[tier], name);
      await symlink(stateDir, path);
      await assert.rejects(openStore({ stateDir, hotDir }), {
        name: 'BadStoreFolder',
        message: `Cannot use ${path}: it is a symbolic link; name the folder itself`,
      });
      await rm(path);
      await mkdir(path);
      await chmod(path, 0o777);
      await assert.rejects(openStore({ stateDir, hotDir }), /others may write to it/);
      if (process.getuid?.() !== 0) return;
      await chmod(path, 0o700);
      await chown(path, 12345, 12345);
      await assert.rejects(openStore({ stateDir, hotDir }), /it belongs to uid 12345/);
    });
  }

  it('loads nothing of a snapshot whose manifest the caller refuses', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
    await store.evict(0);
    const refuse = (): Promise<void> => Promise.reject(new Error('not here'));
    await assert.rejects(store.acquire('a', 'sandbox', undefined, refuse), /not here/);
    assert.equal(store.get('a').hot, false);
    assert.deepEqual(store.holders('a'), []);
  });

  it('refuses a newer version and changes nothing', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
    await snapshot(store, { tag: 'b' });
    await store.durable('b');
    await store.close();
    const folder = join(fixture.stateDir, 'snapshots', 'a');
    const manifest = await readManifest(folder);
    for (const name of ['manifest.json', 'manifest.sha256']) await rm(join(folder, name));
    await writeManifest(folder, { ...manifest, version: 3 as 2 }, false);
    await writeFile(join(fixture.stateDir, 'snapshots', 'b', 'manifest.json'), 'torn');
    await mkdir(join(fixture.hotDir, 'snapshots', '.writing-x'));
    await assert.rejects(fixture.reopen(), StoreTooNew);
    await stat(join(fixture.stateDir, 'snapshots', 'b'));
    await stat(join(fixture.hotDir, 'snapshots', '.writing-x'));
  });
});
