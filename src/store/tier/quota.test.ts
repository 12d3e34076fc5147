import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { capture, makeFixture, PAGE, snapshot } from '../../../test/support/store-fixture.js';
import { NoSpace } from '../errors.js';

const QUOTA_BYTES = 200_000;

const somePages = (count: number): Record<number, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [index, 7]));

describe('the disk quota', () => {
  it('refuses a draft that reserves more than is left of it, naming both', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen({ diskQuotaBytes: QUOTA_BYTES });
    await assert.rejects(
      store.draft({ tag: 'a', mode: 'live', reserveDurableBytes: QUOTA_BYTES + 1 }),
      (error) =>
        error instanceof NoSpace &&
        error.store === 'durable' &&
        error.neededBytes === QUOTA_BYTES + 1 &&
        error.availableBytes === QUOTA_BYTES,
    );
    assert.deepEqual(store.list(), []);
    assert.equal((await store.durableSpace()).reservedBytes, 0);
  });

  it('counts what durable snapshots take, shared files once', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen({ diskQuotaBytes: QUOTA_BYTES });
    await snapshot(store, { tag: 'a', pages: somePages(20) });
    await store.durable('a');
    const { freeBytes } = await store.durableSpace();
    assert.equal(freeBytes, QUOTA_BYTES - (await store.durableBytes()));
    assert.ok(freeBytes <= QUOTA_BYTES - 20 * PAGE);
    await store.remove('a');
    assert.equal((await store.durableSpace()).freeBytes, QUOTA_BYTES);
  });

  it('refuses a capture that turned out larger than it, and leaves nothing of it', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen({ diskQuotaBytes: QUOTA_BYTES });
    const { draft, fields } = await capture(store, { tag: 'a', pages: somePages(60) });
    await assert.rejects(draft.publish(fields), NoSpace);
    assert.deepEqual(store.list(), []);
    assert.equal((await store.durableSpace()).reservedBytes, 0);
  });

  it('asks for room once before it refuses', async (t) => {
    const fixture = await makeFixture(t);
    let asked = 0;
    const makeDurableRoom = (): Promise<void> => Promise.resolve(void (asked += 1));
    const store = await fixture.reopen({ diskQuotaBytes: QUOTA_BYTES, makeDurableRoom });
    await assert.rejects(
      store.draft({ tag: 'a', mode: 'live', reserveDurableBytes: 2 * QUOTA_BYTES }),
      NoSpace,
    );
    assert.equal(asked, 1);
  });

  it('is not there by default', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    assert.ok((await store.durableSpace()).freeBytes > QUOTA_BYTES);
  });
});
