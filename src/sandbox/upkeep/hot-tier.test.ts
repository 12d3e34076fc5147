import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostContext } from '../host/context.js';
import { HotTier } from './hot-tier.js';

describe('HotTier', () => {
  it('looks only when something has happened, and again after a round that failed', async () => {
    let snapshots = [{ id: 'a', status: 'ready', hot: true, durable: true }];
    let looks = 0;
    let fails = false;
    const store = {
      list: () => snapshots,
      evict: () => {
        looks += 1;
        return fails ? Promise.reject(new Error('EIO')) : Promise.resolve([]);
      },
      hotLayerBytes: () => Promise.resolve(42),
      durableBytes: () => Promise.resolve(43),
    };
    const context = { store, sandboxes: { list: () => [] }, emit: () => undefined };
    const tier = new HotTier(context as unknown as HostContext);
    await tier.round();
    await tier.round();
    assert.equal(looks, 1);
    assert.deepEqual(tier.bytes, { hotBytes: 42, durableBytes: 43 });

    snapshots = [];
    fails = true;
    await tier.round();
    await tier.round();
    assert.equal(looks, 3);
  });
});
