import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { armFailpoints, disarmFailpoints } from '../../src/base/index.js';
import { NotDurable, openStore } from '../../src/store/index.js';
import { makeFixture, snapshot } from '../support/store-fixture.js';
import { makeReadOnly, noTmpfs } from '../support/tmpfs.js';

describe('a state folder that can only be read', { skip: noTmpfs }, () => {
  it('is refused with the reason, before anything is made of the hot one', async (t) => {
    const { stateDir, hotDir } = await makeFixture(t);
    const makeWritable = await makeReadOnly(stateDir);
    try {
      await assert.rejects(openStore({ stateDir, hotDir }), {
        name: 'BadStoreFolder',
        message: `Cannot use ${stateDir}: it cannot be written to (EROFS)`,
      });
    } finally {
      await makeWritable();
    }
    assert.deepEqual(await readdir(hotDir), []);
  });

  it('lets a snapshot that was only in memory be deleted, and the next start removes the rest', async (t) => {
    t.after(disarmFailpoints);
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    armFailpoints('persist.started=errno:EIO');
    await snapshot(store, { tag: 'a', tail: 'tail' });
    await assert.rejects(store.durable('a'), NotDurable);
    const makeWritable = await makeReadOnly(fixture.stateDir);
    try {
      await store.remove('a');
      assert.deepEqual(store.list(), []);
      assert.deepEqual(await readdir(join(fixture.hotDir, 'snapshots')), []);
    } finally {
      await makeWritable();
    }
    assert.deepEqual((await fixture.reopen()).list(), []);
    for (const tier of [fixture.stateDir, fixture.hotDir]) {
      assert.deepEqual(await readdir(join(tier, 'snapshots')), []);
      assert.deepEqual(await readdir(join(tier, 'quarantine')).catch(() => []), []);
    }
  });

  it('keeps a durable snapshot listed that cannot be deleted, and usable', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
    const makeWritable = await makeReadOnly(fixture.stateDir);
    try {
      await assert.rejects(store.remove('a'), { code: 'EROFS' });
      (await store.acquire('a', 'sandbox')).release();
    } finally {
      await makeWritable();
    }
    await store.remove('a');
    assert.deepEqual(store.list(), []);
  });
});
