import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, disarmFailpoints, firedFailpoints, sleep } from '../../src/base/index.js';
import {
  SnapshotInUse,
  SnapshotNotFound,
  SnapshotUnusable,
  TagExists,
  type Store,
} from '../../src/store/index.js';
import { drawn } from '../support/drawn.js';
import { Seeded } from '../faults/seeded.js';
import {
  captureChild,
  checkContent,
  checkFolders,
  CONTENT,
  filesOfStore,
  openIn,
  OPERATIONS,
  type StoreDirs,
} from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';

/** How long a step is held up; long enough for what meets it to get as far as it can. */
const HELD_MS = 25;

/** The steps at which an operation is held up, and the tag it is about. */
const HELD: Readonly<Record<string, { readonly tag: string; readonly places: readonly string[] }>> = {
  capture: {
    tag: 'new',
    places: [
      ...[
        'draft.reserved',
        'draft.disks-linked',
        'publish.sealed',
        'publish.disk-renamed',
        'publish.renamed',
      ],
      ...['persist.started', 'persist.layers-copied', 'persist.disks-copied', 'persist.synced'],
      ...['persist.renamed', 'persist.rename-synced', 'persist.tail-removed'],
    ],
  },
  delete: {
    tag: 'victim',
    places: ['delete.begun', 'delete.hot-renamed', 'delete.renamed', 'delete.synced'],
  },
  evict: { tag: 'kept', places: ['evict.renamed'] },
  load: { tag: 'kept', places: ['load.staged', 'load.layers-loaded', 'load.described', 'load.renamed'] },
};

type Meeting = (dirs: StoreDirs, store: Store, tag: string) => Promise<unknown>;

const MEETINGS: Readonly<Record<string, Meeting>> = {
  'it is deleted': (_dirs, store, tag) => store.remove(tag, { force: true }),
  'its parent is deleted': (_dirs, store) => store.remove('base', { force: true }),
  'a child starts from it': checkContent,
  'its tag is asked for': async (_dirs, store, tag) => (await store.draft({ tag, mode: 'live' })).abandon(),
  'everything is evicted': (_dirs, store) => store.evict(0),
  'its parent is branched': (dirs, store, tag) =>
    tag === 'new' ? store.compact('base', { to: 'flat' }) : captureChild(dirs, store, 'new'),
  'the store is closed': (_dirs, store) => store.close(),
};

const CASES = Object.entries(HELD)
  .flatMap(([operation, { tag, places }]) => places.map((place) => ({ operation, tag, place })))
  .flatMap((step) => Object.entries(MEETINGS).map(([what, meeting]) => ({ ...step, what, meeting })))
  .map((each) => ({ ...each, isClosed: each.what === 'the store is closed' }))
  // Whoever closes a store waits for all but persisting before.
  .filter(({ isClosed, place }) => !isClosed || place.startsWith('persist.'));

/** Both may be refused, by name. */
const REFUSALS = [SnapshotInUse, SnapshotNotFound, SnapshotUnusable, TagExists];

describe('a step of the store that takes long', () => {
  let copies: WorldCopies;
  const random = Seeded.fromEnvironment();

  before(async () => {
    copies = await WorldCopies.open();
  });
  afterEach(async () => {
    disarmFailpoints();
    await copies.clean();
  });
  after(async () => {
    await copies.close();
    console.log(`# meetings in the store: ${random.name}`);
  });

  /** What is listed is whole and complete, now and for the next daemon; deleted, it leaves nothing. */
  const check = async (dirs: StoreDirs, store: Store): Promise<void> => {
    for (const { tag, status } of store.list()) {
      assert(tag in CONTENT, `"${tag}" came from nowhere`);
      assert.equal(status, 'ready', tag);
      await store.durable(tag);
      await checkContent(dirs, store, tag);
    }
    await checkFolders(dirs, store);
  };

  for (const { operation, tag, place, what, meeting, isClosed } of drawn(CASES, random)) {
    it(`${place} in ${operation}, while ${what}`, async () => {
      const dirs = await copies.make();
      let store = await openIn(dirs);
      try {
        await OPERATIONS[operation]?.prepare?.(dirs, store);
        let met: Promise<unknown> = Promise.resolve();
        armFailpoint(place, async () => {
          met = meeting(dirs, store, tag);
          met.catch(() => undefined);
          await sleep(HELD_MS);
        });
        const held = OPERATIONS[operation]?.run(dirs, store);
        const outcomes = [...(await Promise.allSettled([held])), ...(await Promise.allSettled([met]))];
        assert.deepEqual(firedFailpoints(), [place], 'the place was not reached');
        for (const outcome of outcomes) {
          if (outcome.status === 'fulfilled' || isClosed) continue;
          const { reason } = outcome as { reason: unknown };
          assert(
            REFUSALS.some((kind) => reason instanceof kind),
            reason instanceof Error ? reason : String(reason),
          );
        }
        if (!isClosed) await check(dirs, store);
        await store.close();
        store = await openIn(dirs);
        await check(dirs, store);
        for (const each of store.list()) await store.remove(each.tag, { force: true });
        assert.deepEqual(await filesOfStore(dirs), []);
      } finally {
        await store.close();
      }
    });
  }
});
