import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  capture,
  makeFixture,
  snapshot,
  type Capture,
  type Fixture,
} from '../../../test/support/store-fixture.js';
import { FakeClock } from '../../../test/support/fake-clock.js';
import { armFailpoint, Deferred, disarmFailpoints } from '../../base/index.js';
import { NoSpace, type Store } from '../../store/index.js';
import { Collector } from './collector.js';
import type { HostContext } from '../host/context.js';
import { SandboxRegistry } from '../entity/registry.js';
import type { Sandbox } from '../entity/sandbox.js';

const HOUR_SECS = 3600;

interface Bench {
  readonly fixture: Fixture;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly sandboxes: SandboxRegistry;
  readonly collector: Collector;
  /** Makes a durable snapshot. */
  readonly add: (request: Capture) => Promise<void>;
  readonly tags: () => string[];
}

async function bench(t: TestContext): Promise<Bench> {
  const fixture = await makeFixture(t);
  const store = await fixture.reopen();
  const clock = new FakeClock();
  // Folders get their times from the real clock.
  clock.step(Date.now() / 1000 - clock.unixSecs);
  const sandboxes = new SandboxRegistry();
  const context = {
    tiers: { stateDir: fixture.stateDir, hotDir: fixture.hotDir },
    ...{ store, sandboxes },
    emit: () => undefined,
  } as unknown as HostContext;
  return {
    ...{ fixture, clock, store, sandboxes },
    collector: new Collector(context, clock),
    async add(request) {
      await snapshot(store, request);
      await store.durable(request.tag);
    },
    tags: () => store.list().map(({ tag }) => tag),
  };
}

const names = (items: readonly { name: string }[]): string[] => items.map(({ name }) => name);

describe('the collector', () => {
  it('says in a dry run what a real one then does', async (t) => {
    const { clock, collector, store, sandboxes, add, tags } = await bench(t);
    const expiresAtUnix = Math.ceil(clock.unixSecs) + 60;
    await add({ tag: 'kept' });
    await add({ tag: 'old', retention: { expiresAtUnix } });
    await add({ tag: 'used', retention: { expiresAtUnix } });
    const sandbox = { id: 'sb0', paths: { id: 'sb0' }, state: 'running', record: { snapshotTag: 'used' } };
    sandboxes.add(sandbox as unknown as Sandbox);
    assert.deepEqual((await collector.run({ dryRun: true })).removed, []);
    clock.pass(61);

    const dry = await collector.run({ dryRun: true });
    assert.deepEqual(tags(), ['kept', 'old', 'used']);
    const real = await collector.run({ dryRun: false });
    assert.deepEqual({ ...real, dryRun: true }, dry);
    assert.deepEqual(names(real.removed), ['old']);
    assert.deepEqual(real.kept[0]?.why, 'it has expired, but it is in use by sandbox sb0');
    assert.ok(real.freedBytes > 0);
    assert.deepEqual(tags(), ['kept', 'used']);

    sandboxes.forget('sb0');
    await collector.run({ dryRun: false });
    assert.deepEqual(tags(), ['kept'], 'removed once it is free');
    assert.equal(store.get('kept').status, 'ready');
  });

  it('keeps what is leased until the lease is over', async (t) => {
    const { clock, collector, store, add, tags } = await bench(t);
    await add({ tag: 'a', retention: { expiresAtUnix: Math.ceil(clock.unixSecs) + 1 } });
    await collector.run({ dryRun: true });
    clock.pass(2);
    const lease = await store.acquire('a', 'a spawn under way');
    assert.match((await collector.run({ dryRun: false })).kept[0]?.why ?? '', /in use by a spawn under way/);
    lease.release();
    await collector.run({ dryRun: false });
    assert.deepEqual(tags(), []);
  });

  it('removes what keep_last no longer keeps, after the successor is durable, and knows the order from disk', async (t) => {
    const { fixture, collector, add, tags } = await bench(t);
    for (const ordinal of [3, 1, 2]) {
      await add({ tag: `b${ordinal}`, branchedFrom: 'sb1', retention: { keepLast: 2, ordinal } });
    }
    await add({ tag: 'named', branchedFrom: 'sb1' });
    await collector.run({ dryRun: false });
    assert.deepEqual(tags(), ['b3', 'b2', 'named']);
    const reopened = await fixture.reopen();
    assert.deepEqual(reopened.get('b3').retention, { keepLast: 2, ordinal: 3 });
  });

  it('thins out no timeline while its sandbox is rolled back: the newest point of that may go again', async (t) => {
    const { clock, collector, sandboxes, add, tags } = await bench(t);
    const sandbox = { id: 'sb0', paths: { id: 'sb0' }, state: 'running', record: {}, isRollingBack: true };
    sandboxes.add(sandbox as unknown as Sandbox);
    const thinning = { keep: [{ withinSecs: 60 }], maxBytes: Number.MAX_SAFE_INTEGER };
    const at = { atUnixMs: Math.round(clock.unixMs()), atBootMs: clock.bootMs(), bootId: clock.bootId };
    for (const [count, tag] of ['oldest', 'undo', 'before'].entries()) {
      const retention = { ordinal: count + 1, checkpoint: { thinning, ...at } };
      await add({ tag, branchedFrom: 'sb0', retention });
    }
    clock.pass(61);
    await collector.run({ dryRun: false });
    assert.deepEqual(tags(), ['oldest', 'undo', 'before']);
    sandbox.isRollingBack = false;
    await collector.run({ dryRun: false });
    assert.deepEqual(tags(), ['before']);
  });

  it('holds what a new daemon finds expired until the clock can be believed', async (t) => {
    const { clock, store, add, tags, sandboxes, fixture } = await bench(t);
    await add({ tag: 'a', retention: { expiresAtUnix: Math.floor(clock.unixSecs) - 10 } });
    const context = {
      tiers: { stateDir: fixture.stateDir, hotDir: fixture.hotDir },
      ...{ store, sandboxes, emit: () => undefined },
    } as unknown as HostContext;
    const next = new Collector(context, clock);
    assert.match((await next.run({ dryRun: false })).kept[0]?.why ?? '', /wall clock that may be wrong/);
    clock.pass(301);
    await next.run({ dryRun: false });
    assert.deepEqual(tags(), []);
  });

  it('removes old leftovers in both tiers, never those of a draft, and lists quarantine', async (t) => {
    const { clock, collector, fixture, store } = await bench(t);
    const folders = ['.deleted-x', '.writing-gone', '.loading-y'].flatMap((name) => [
      join(fixture.stateDir, 'snapshots', name),
      join(fixture.hotDir, 'snapshots', name),
    ]);
    for (const folder of folders) {
      await mkdir(folder);
      await writeFile(join(folder, 'memory.bin'), Buffer.alloc(8192, 1));
    }
    const damaged = join(fixture.stateDir, 'quarantine', 'bad-1');
    await mkdir(damaged);
    const { draft } = await capture(store, { tag: 'draft' });
    assert.deepEqual((await collector.run({ dryRun: true })).removed, [], 'too young');
    clock.pass(2 * HOUR_SECS);
    const { removed, kept } = await collector.run({ dryRun: false });
    assert.deepEqual(names(removed).sort(), folders.sort());
    assert.deepEqual(names(kept), [damaged]);
    assert.match(removed[0]?.why ?? '', /nothing owns it, and it is \d h old/);
    assert.ok((removed[0]?.bytes ?? 0) >= 8192);
    assert.ok((await readdir(join(fixture.hotDir, 'snapshots'))).includes(`.writing-${draft.id}`));
    await draft.abandon();
  });

  it('keeps what only the wall clock calls old', async (t) => {
    const { clock, collector, fixture } = await bench(t);
    const stray = join(fixture.hotDir, 'sandboxes', 'gone');
    const loading = join(fixture.hotDir, 'snapshots', '.loading-y');
    for (const folder of [stray, loading]) await mkdir(folder, { recursive: true });
    await collector.run({ dryRun: false });
    clock.step(2 * HOUR_SECS);
    const { removed, kept } = await collector.run({ dryRun: false });
    assert.deepEqual(removed, []);
    assert.deepEqual(
      kept.map(({ why }) => why),
      ['it may belong to work under way', 'it may belong to work under way'],
    );
    clock.pass(HOUR_SECS);
    assert.deepEqual(names((await collector.run({ dryRun: false })).removed), [loading, 'gone']);
  });

  it('does not look at a load or a start under way, however long it takes', async (t) => {
    const { clock, collector, fixture, sandboxes, store, add } = await bench(t);
    await add({ tag: 'a' });
    await store.evict(0);
    const goOn = new Deferred<void>();
    const begun = new Deferred<void>();
    t.after(disarmFailpoints);
    armFailpoint('load.layers-loaded', () => {
      begun.resolve();
      return goOn.promise;
    });
    const acquired = store.acquire('a', 'sandbox');
    await begun.promise;
    sandboxes.begin('sb1');
    await mkdir(join(fixture.hotDir, 'sandboxes', 'sb1'), { recursive: true });
    await collector.run({ dryRun: true });
    clock.pass(2 * HOUR_SECS);
    const { removed, kept } = await collector.run({ dryRun: false });
    assert.deepEqual([...removed, ...kept], []);
    goOn.resolve();
    (await acquired).release();
    sandboxes.giveUp('sb1');
    assert.deepEqual(names((await collector.run({ dryRun: true })).kept), ['sb1']);
  });

  it('removes folders of sandboxes that nobody has', async (t) => {
    const { clock, collector, fixture } = await bench(t);
    for (const tier of [fixture.stateDir, fixture.hotDir]) {
      await mkdir(join(tier, 'sandboxes', 'gone'), { recursive: true });
    }
    assert.match((await collector.run({ dryRun: false })).kept[0]?.why ?? '', /work under way/);
    clock.pass(2 * HOUR_SECS);
    assert.deepEqual(names((await collector.run({ dryRun: false })).removed), ['gone']);
    assert.deepEqual(await readdir(join(fixture.hotDir, 'sandboxes')), []);
  });

  it('makes room for a draft that the quota would refuse', async (t) => {
    const { clock, fixture } = await bench(t);
    let makeRoom = (): Promise<unknown> => Promise.resolve();
    const makeDurableRoom = (): Promise<unknown> => makeRoom();
    const store = await fixture.reopen({ diskQuotaBytes: 200_000, makeDurableRoom });
    const context = {
      tiers: { stateDir: fixture.stateDir, hotDir: fixture.hotDir },
      ...{ store, sandboxes: new SandboxRegistry(), emit: () => undefined },
    } as unknown as HostContext;
    const collector = new Collector(context, clock);
    makeRoom = () => collector.run({ dryRun: false });
    const pages = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [index, 1]));
    await snapshot(store, { tag: 'old', pages, retention: { expiresAtUnix: Math.ceil(clock.unixSecs) + 5 } });
    await store.durable('old');
    await collector.run({ dryRun: true });
    const request = { tag: 'next', mode: 'live', reserveDurableBytes: 150_000 } as const;
    await assert.rejects(store.draft(request), NoSpace);
    clock.pass(6);
    await (await store.draft(request)).abandon();
    assert.deepEqual(store.list(), []);
  });
});
