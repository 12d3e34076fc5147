import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import {
  capture,
  linkAsSandbox,
  makeFixture,
  memoryOf,
  PAGE,
  RAM_BYTES,
  readMemory,
  snapshot,
  type Fixture,
} from '../../../test/support/store-fixture.js';
import { SnapshotInUse, SnapshotNotFound, TagExists, type Run, type Store } from '../index.js';
import { union, visibleRuns } from './fold.js';

/** root ── left ── leaf, root ── right */
async function family(t: TestContext): Promise<{ fixture: Fixture; store: Store }> {
  const fixture = await makeFixture(t);
  const store = await fixture.reopen();
  await snapshot(store, { tag: 'root', pages: { 0: 1, 1: 1 } });
  for (const [tag, parentTag, page] of [
    ['left', 'root', 1],
    ['right', 'root', 2],
    ['leaf', 'left', 3],
  ] as const) {
    const on = await linkAsSandbox(fixture, store, parentTag, `sb-${tag}`);
    await snapshot(store, { tag, parentTag, pages: { [page]: page }, on });
    await rm(join(fixture.hotDir, 'sandboxes'), { recursive: true });
  }
  for (const { tag } of store.list()) await store.durable(tag);
  return { fixture, store };
}

const tags = (store: Store): string[] => store.list().map(({ tag }) => tag);

describe('info()', () => {
  it('names ancestors root first, dependents of every depth, and sizes', async (t) => {
    const { store } = await family(t);
    const root = await store.info('root');
    assert.deepEqual([root.ancestors, root.dependents, root.chainDepth], [[], ['left', 'right', 'leaf'], 1]);
    const leaf = await store.info('leaf');
    assert.deepEqual([leaf.ancestors, leaf.dependents, leaf.chainDepth], [['root', 'left'], [], 3]);
    assert.deepEqual([leaf.memoryLogicalBytes, leaf.memoryPhysicalBytes], [RAM_BYTES, PAGE]);
    assert.equal(leaf.vmstateBytes, 'devices'.length);
    assert.equal(leaf.parentTag, 'left');
    assert.ok((await store.durableBytes()) >= 5 * PAGE);
  });

  it('does not mistake a new snapshot for the ancestor whose tag it took', async (t) => {
    const { fixture, store } = await family(t);
    await store.remove('left', { force: true });
    await snapshot(store, { tag: 'left' });
    assert.deepEqual((await store.info('leaf')).ancestors, ['root']);
    assert.equal(store.get('leaf').parentTag, undefined);
    assert.deepEqual((await store.info('left')).dependents, []);
    assert.deepEqual((await (await fixture.reopen()).info('leaf')).ancestors, ['root']);
  });
});

describe('remove()', () => {
  it('refuses while there are dependents, and names them', async (t) => {
    const { store } = await family(t);
    await assert.rejects(store.remove('left'), (error) => {
      assert.ok(error instanceof SnapshotInUse);
      assert.deepEqual(error.holders, ['snapshot leaf']);
      return true;
    });
    await store.remove('leaf');
    await store.remove('left');
    assert.deepEqual(tags(store), ['root', 'right']);
  });

  it('refuses while sandboxes run from it or, with cascade, from a dependent', async (t) => {
    const { store } = await family(t);
    const sandboxesOf = (tag: string): string[] => (tag === 'leaf' ? ['sandbox sb1'] : []);
    await assert.rejects(store.remove('leaf', { sandboxesOf }), /in use by sandbox sb1/);
    await assert.rejects(store.remove('root', { cascade: true, sandboxesOf }), /in use by sandbox sb1/);
    assert.equal(tags(store).length, 4);
  });

  it('with cascade takes all dependents along', async (t) => {
    const { fixture, store } = await family(t);
    await store.remove('root', { cascade: true });
    assert.deepEqual(tags(store), []);
    for (const folder of [fixture.hotDir, fixture.stateDir]) {
      assert.deepEqual(await readdir(join(folder, 'snapshots')), []);
    }
  });

  it('with force takes one out of the middle and leaves its children whole', async (t) => {
    const { fixture, store } = await family(t);
    await store.remove('left', { force: true });
    await store.remove('root', { force: true });
    await store.close();
    await rm(join(fixture.hotDir, 'snapshots'), { recursive: true });
    const reopened = await fixture.reopen();
    assert.deepEqual(tags(reopened), ['right', 'leaf']);
    const child = await linkAsSandbox(fixture, reopened, 'leaf', 'sb');
    assert.deepEqual(await readMemory(child), memoryOf({ 0: 1, 1: 1, 3: 3 }));
  });

  it('refuses a snapshot that is being written or leased, also with force', async (t) => {
    const { fixture, store } = await family(t);
    const { draft } = await capture(store, { tag: 'new', parentTag: 'leaf' });
    await assert.rejects(store.remove('new', { force: true }), SnapshotInUse);
    await assert.rejects(store.remove('leaf'), SnapshotInUse);
    await assert.rejects(store.remove('leaf', { cascade: true }), SnapshotInUse);
    await draft.abandon();
    const lease = await store.acquire('leaf', 'sandbox sb9');
    await assert.rejects(store.remove('leaf', { force: true }), /sandbox sb9/);
    lease.release();
    const linked = await linkAsSandbox(fixture, store, 'leaf', 'sb9');
    await store.remove('leaf');
    assert.deepEqual(await readMemory(linked), memoryOf({ 0: 1, 1: 1, 3: 3 }));
  });

  it('does not wait for the persisting it makes pointless', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    await Promise.all(['a', 'b', 'c'].map((tag) => snapshot(store, { tag })));
    const durable = store.durable('c');
    await Promise.all([store.remove('c'), assert.rejects(durable, SnapshotNotFound)]);
    await Promise.all(['a', 'b'].map((tag) => store.durable(tag)));
    await assert.rejects(store.remove('c'), SnapshotNotFound);
    await assert.rejects(store.remove('a', { cascade: true, force: true }), TypeError);
    await snapshot(store, { tag: 'c' });
    await store.durable('c');
  });
});

describe('evict()', () => {
  it('drops what nothing uses, least recently used first, children before parents', async (t) => {
    const { fixture, store } = await family(t);
    const linked = await linkAsSandbox(fixture, store, 'right', 'sb1');
    const lease = await store.acquire('root', 'test');
    assert.equal(await store.hotLayerBytes(), 5 * PAGE);
    assert.deepEqual(await store.evict(5 * PAGE), []);
    assert.deepEqual(await store.evict(4 * PAGE), ['leaf']);
    assert.deepEqual(await store.evict(0), ['left']);
    lease.release();
    // A hot child, held by a sandbox, still links the root's layer.
    assert.deepEqual(await store.evict(0), []);
    assert.deepEqual(await readMemory(linked), memoryOf({ 0: 1, 1: 1, 2: 2 }));
    await rm(join(fixture.hotDir, 'sandboxes'), { recursive: true });
    assert.deepEqual(await store.evict(0), ['right', 'root']);
    assert.equal(await store.hotLayerBytes(), 0);
    const again = await linkAsSandbox(fixture, store, 'leaf', 'sb2');
    assert.deepEqual(await readMemory(again), memoryOf({ 0: 1, 1: 1, 3: 3 }));
  });
});

describe('compact()', () => {
  it('folds the memory into one layer without ancestors', async (t) => {
    const { fixture, store } = await family(t);
    const view = await store.compact('leaf', { to: 'flat' });
    assert.equal(view.parentTag, undefined);
    assert.equal((await store.info('flat')).chainDepth, 1);
    await assert.rejects(store.compact('leaf', { to: 'flat' }), TagExists);
    await assert.rejects(store.compact('none', { to: 'flat2' }), SnapshotNotFound);
    await store.durable('flat');
    await store.remove('root', { cascade: true });
    const linked = await linkAsSandbox(fixture, store, 'flat', 'sb');
    assert.equal(linked.layers.length, 1);
    assert.deepEqual(await readMemory(linked), memoryOf({ 0: 1, 1: 1, 3: 3 }));
  });

  it('writes a long disk chain out as one file', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const folder = join(fixture.stateDir, 'images');
    await mkdir(folder);
    const qemu = (tool: string, ...args: string[]): Promise<unknown> => promisify(execFile)(tool, args);
    const names = ['base.raw', 'o1.qcow2', 'o2.qcow2'].map((name) => join(folder, name));
    const [base = '', o1 = '', o2 = ''] = names;
    try {
      await qemu('qemu-img', 'create', '-q', '-f', 'raw', base, '1M');
    } catch {
      t.skip('qemu-img is not installed');
      return;
    }
    for (const path of [o1, o2]) await qemu('qemu-img', 'create', '-q', '-f', 'qcow2', path, '1M');
    await qemu('qemu-io', '-f', 'raw', '-c', 'write -P 1 0 192k', base);
    await qemu('qemu-io', '-f', 'qcow2', '-c', 'write -P 2 64k 64k', o1);
    await qemu('qemu-io', '-f', 'qcow2', '-c', 'write -z 128k 64k', o2);
    const disks = names.map((path, index) => ({
      id: `d${index}`,
      path,
      format: index === 0 ? ('raw' as const) : ('qcow2' as const),
    }));
    await snapshot(store, { tag: 'long', on: { layers: [], disks } });
    await store.compact('long', { to: 'flat' });
    await store.durable('flat');
    const { disks: flat } = await linkAsSandbox(fixture, store, 'flat', 'sb');
    assert.equal(flat.length, 1);
    const raw = join(folder, 'flat.raw');
    await qemu('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', flat[0]?.path ?? '', raw);
    const bytes = await readFile(raw);
    assert.deepEqual(
      [0, 64, 128, 192].map((kib) => bytes[kib * 1024]),
      [1, 2, 0, 0],
    );
    assert.deepEqual(await readdir(join(fixture.stateDir, 'snapshots', 'flat')), [
      'disk',
      'layers',
      'manifest.json',
      'manifest.sha256',
      'memory.bin',
      'vmstate.bin',
    ]);
  });
});

describe('visibleRuns()', () => {
  it('agrees with painting the layers over each other, for many random stacks', () => {
    const seed = 20_240_611;
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let round = 0; round < 500; round += 1) {
      const stack: Run[][] = Array.from({ length: 1 + random(5) }, () => {
        const runs: Run[] = [];
        for (let position = random(6); position < 40;) {
          const length = 1 + random(8);
          runs.push([position, length]);
          position += length + random(6);
        }
        return runs;
      });
      const painted = new Array<number>(64).fill(-1);
      stack.forEach((runs, layer) => paint(painted, runs, layer));
      const composed = new Array<number>(64).fill(-1);
      visibleRuns(stack).forEach((runs, layer) => {
        for (const [offset] of runs) assert.equal(composed[offset], -1);
        paint(composed, runs, layer);
      });
      assert.deepEqual(composed, painted, `seed ${seed}, round ${round}`);
      const covered = new Array<number>(64).fill(-1);
      paint(covered, union(stack.flat()), 0);
      assert.deepEqual(
        covered.map((value) => value === 0),
        painted.map((value) => value >= 0),
      );
    }
  });
});

function paint(canvas: number[], runs: readonly Run[], value: number): void {
  for (const [offset, length] of runs) canvas.fill(value, offset, offset + length);
}
