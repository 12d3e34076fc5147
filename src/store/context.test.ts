import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { capture, makeFixture, snapshot } from '../../test/support/store-fixture.js';
import { Deferred, WorkSet } from '../base/index.js';
import { giveWay, LAGGING_SNAPSHOTS } from './context.js';

function underWay(pendingCount: number): { context: Parameters<typeof giveWay>[0]; capture: Deferred<void> } {
  const urgent = new WorkSet();
  const capture = new Deferred<void>();
  urgent.add(capture.promise);
  return { context: { urgent, persistQueue: { pendingCount } }, capture };
}

describe('giveWay()', () => {
  it('waits until what is urgent is over', async () => {
    const { context, capture } = underWay(0);
    const order: string[] = [];
    const waited = giveWay(context).then(() => order.push('copied'));
    await new Promise(setImmediate);
    order.push('captured');
    capture.resolve();
    await waited;
    assert.deepEqual(order, ['captured', 'copied']);
  });

  it('waits for nobody where too many snapshots are behind', async () => {
    const { context, capture } = underWay(LAGGING_SNAPSHOTS);
    await giveWay(context);
    assert.equal(context.urgent.size, 1);
    capture.resolve();
  });

  it('lets a snapshot become durable beside a capture that does not end', async (t) => {
    const store = await (await makeFixture(t)).reopen();
    const { draft } = await capture(store, { tag: 'endless' });
    await snapshot(store, { tag: 'a' });
    assert.equal((await store.durable('a')).durable, true);
    assert.equal(store.get('endless').status, 'writing');
    await draft.abandon();
  });
});
