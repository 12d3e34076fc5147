import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, it, type TestContext } from 'node:test';
import {
  capture,
  linkAsSandbox,
  makeFixture,
  memoryOf,
  PAGE,
  RAM_BYTES,
  readMemory,
  snapshot,
  writePages,
  type Pages,
} from '../../../test/support/store-fixture.js';
import { armFailpoint, disarmFailpoints, sleep } from '../../base/index.js';
import type { LayerRef } from '../index.js';

/** Longer than a merge of so little, shorter than one that gives way waits. */
const CAPTURE_MS = 20;
const STACK: readonly Pages[] = [
  { 0: 1, 1: 1, 2: 1, 9: 1 },
  { 1: 2, 3: 2 },
  { 1: 3, 4: 3, 9: 3 },
];

/** A store, and layers that nobody but a folder of the caller's has. */
async function stackOf(t: TestContext) {
  const fixture = await makeFixture(t);
  const folder = join(fixture.hotDir, 'own');
  await mkdir(folder);
  const layers: LayerRef[] = [];
  for (const [index, pages] of STACK.entries()) {
    const path = join(folder, `l${index}.bin`);
    layers.push({ id: `l${index}`, path, runs: await writePages(path, pages), logicalBytes: RAM_BYTES });
  }
  return { fixture, folder, layers };
}

describe('mergeLayers()', () => {
  afterEach(disarmFailpoints);

  it('holds what the layers above hold over what those below do, and leaves them as they are', async (t) => {
    const { fixture, folder, layers } = await stackOf(t);
    const store = await fixture.reopen();
    const merged = await store.mergeLayers(layers, folder);
    assert.deepEqual(merged.runs, [
      [0, 5 * PAGE],
      [9 * PAGE, PAGE],
    ]);
    assert.deepEqual(await readMemory({ layers: [merged] }), await readMemory({ layers }));
    assert.deepEqual(
      await readMemory({ layers: [merged] }),
      memoryOf({ 0: 1, 1: 3, 2: 1, 3: 2, 4: 3, 9: 3 }),
    );
  });

  it('gives a layer that snapshots stand on as on any other, on disk too', async (t) => {
    const { fixture, folder, layers } = await stackOf(t);
    let store = await fixture.reopen();
    const [bottom, ...others] = layers;
    assert(bottom);
    const upper = await store.mergeLayers(others, folder);
    const on = { layers: [bottom, upper], disks: [] };
    await snapshot(store, { tag: 'child', pages: { 2: 7 }, on });
    await store.durable('child');
    await store.evict(0);
    store = await fixture.reopen();
    const linked = await linkAsSandbox(fixture, store, 'child', 'sb');
    assert.deepEqual(await readMemory(linked), memoryOf({ 0: 1, 1: 3, 2: 7, 3: 2, 4: 3, 9: 3 }));
  });

  it('lets a live capture go first, unless it is awaited, and waits for none that does not end', async (t) => {
    const { fixture, folder, layers } = await stackOf(t);
    const store = await fixture.reopen();
    const { draft } = await capture(store, { tag: 'under-way' });
    await store.mergeLayers(layers, folder, () => true);
    await store.mergeLayers(layers, folder);
    assert.equal(store.get('under-way').status, 'writing');
    armFailpoint('abandon.removed', () => sleep(CAPTURE_MS));
    const order: string[] = [];
    let ended: Promise<unknown> | undefined;
    await store.mergeLayers(layers, folder, () => {
      ended ??= draft.abandon().then(() => order.push('captured'));
      return false;
    });
    order.push('merged');
    await ended;
    assert.deepEqual(order, ['captured', 'merged']);
  });

  it('asks whether to wait for each mebibyte of a layer, and not for each run', async (t) => {
    const { fixture, folder, layers } = await stackOf(t);
    const store = await fixture.reopen();
    let asked = 0;
    await store.mergeLayers(layers, folder, () => ++asked > 0);
    assert.equal(asked, layers.length);
  });

  it('leaves nothing where a layer cannot be read', async (t) => {
    const { fixture, folder, layers } = await stackOf(t);
    const store = await fixture.reopen();
    const broken = [...layers, { ...layers[0], id: 'gone', path: join(folder, 'gone.bin') } as LayerRef];
    await assert.rejects(store.mergeLayers(broken, folder), { code: 'ENOENT' });
    assert.deepEqual((await readdir(folder)).sort(), ['l0.bin', 'l1.bin', 'l2.bin']);
  });
});

describe('makeHotRoom', () => {
  it('is asked before hot copies are dropped, and only then', async (t) => {
    const fixture = await makeFixture(t);
    let asked = 0;
    const store = await fixture.reopen({ makeHotRoom: () => Promise.resolve((asked += 1)) });
    await snapshot(store, { tag: 'a' });
    await store.durable('a');
    await store.evict(PAGE);
    assert.equal(asked, 0);
    assert.deepEqual(await store.evict(0), ['a']);
    assert.equal(asked, 1);
  });
});
