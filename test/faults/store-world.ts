/**
 * A small store with known content, operations on it that a test interrupts, and what must hold afterwards.
 *
 *   base ◀─ kept          bystanders: whole and unchanged, whatever is interrupted
 *     ▲──── victim        deleted, or damaged and found out
 *     ▲──── new           captured while the test looks
 *
 * `checkStore` opens what an interrupted process left, and takes it apart: what is listed is whole and has
 * the content it should have, what is not listed has left nothing, the operation can be done again, and after
 * everything is deleted nothing remains.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { armFailpoints, disarmFailpoints } from '../../src/base/index.js';
import { IntegrityError, openStore, type Ancestry, type Store } from '../../src/store/index.js';
import { capture, flipByte, memoryOf, readMemory, writeDisk, type Pages } from '../support/store-fixture.js';

export interface StoreDirs {
  readonly stateDir: string;
  readonly hotDir: string;
}

/** What a snapshot of the world consists of. */
export interface Content {
  readonly pages: Pages;
  readonly disks: readonly string[];
  readonly vmstate: string;
}

const BASE: Content = { pages: { 0: 1, 1: 2 }, disks: ['image', 'tail of base'], vmstate: 'devices of base' };
const child = (tag: string, pages: Pages): Content => ({
  pages: { ...BASE.pages, ...pages },
  disks: [...BASE.disks, `tail of ${tag}`],
  vmstate: `devices of ${tag}`,
});

/** Own pages of each child of base. */
const OWN: Readonly<Record<string, Pages>> = { kept: { 1: 9, 5: 3 }, victim: { 2: 7 }, new: { 1: 4, 9: 8 } };

/** What each tag must hold if it is listed at all. */
export const CONTENT: Readonly<Record<string, Content>> = {
  base: BASE,
  kept: child('kept', OWN['kept'] ?? {}),
  victim: child('victim', OWN['victim'] ?? {}),
  new: child('new', OWN['new'] ?? {}),
  flat: BASE,
};

/** What an undisturbed `interrupted-store.ts` makes in the state dir when its operation is over. */
export const DONE_FOLDER = 'operation-done';

export const BYSTANDERS = ['base', 'kept'];

/** Opens the store; nothing in it is evicted by itself. */
export const openIn = (dirs: StoreDirs): Promise<Store> => openStore({ ...dirs });

/** Makes the world: base, kept and victim, all durable. */
export async function makeWorld(dirs: StoreDirs): Promise<void> {
  const store = await openIn(dirs);
  try {
    const image = join(dirs.stateDir, 'image.raw');
    await writeDisk(image, BASE.disks[0] ?? '');
    await publishOn(store, 'base', { layers: [], disks: [{ id: 'image', path: image, format: 'raw' }] });
    for (const tag of ['kept', 'victim']) await captureChild(dirs, store, tag);
    for (const { tag } of store.list()) await store.durable(tag);
    await rm(image);
  } finally {
    await store.close();
  }
}

async function publishOn(store: Store, tag: string, on: Ancestry): Promise<void> {
  const { vmstate, disks } = CONTENT[tag] ?? BASE;
  const { draft, fields } = await capture(store, {
    tag,
    vmstate,
    pages: OWN[tag] ?? BASE.pages,
    tail: disks.at(-1) ?? '',
    ...(tag === 'base' ? {} : { parentTag: 'base' }),
  });
  try {
    await draft.addAncestry(on);
    await draft.announce();
    await draft.publish(fields);
  } catch (error) {
    await draft.abandon('it failed');
    throw error;
  }
}

/** Captures one child of base, as a branch does, and waits until it is durable. */
export async function captureChild(dirs: StoreDirs, store: Store, tag: string): Promise<void> {
  const sandbox = { hot: join(dirs.hotDir, 'sandboxes', tag), state: join(dirs.stateDir, 'sandboxes', tag) };
  try {
    using lease = await store.acquire('base', 'sandbox');
    await publishOn(store, tag, await lease.linkInto(sandbox.hot, sandbox.state));
  } finally {
    for (const folder of Object.values(sandbox)) await rm(folder, { recursive: true, force: true });
  }
  await store.durable(tag);
}

/** One operation that is interrupted. */
export interface Operation {
  /** With no store open. */
  readonly before?: (dirs: StoreDirs) => Promise<void>;
  /**
   * With the store open, before anything is armed. Absent: armed while the store is opened, and that is the
   * operation.
   */
  readonly prepare?: (dirs: StoreDirs, store: Store) => Promise<unknown>;
  readonly run: (dirs: StoreDirs, store: Store) => Promise<unknown>;
  /** Tags that may be there or not after an interruption; those not named here are as they were. */
  readonly tags: readonly string[];
  /** One of them is damaged, and may be listed until someone uses it. */
  readonly damaged?: string;
  /** Tags that are there after it was done. */
  readonly makes?: readonly string[];
  /** Tags that are gone after it was done. */
  readonly removes?: readonly string[];
}

const ready = (): Promise<void> => Promise.resolve();
const victimFile = ({ stateDir }: StoreDirs, name: string): string =>
  join(stateDir, 'snapshots', 'victim', name);

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  capture: {
    prepare: ready,
    run: (dirs, store) => captureChild(dirs, store, 'new'),
    tags: ['new'],
    makes: ['new'],
  },
  abandon: {
    prepare: ready,
    run: async (_dirs, store) => {
      const draft = await store.draft({ tag: 'new', mode: 'live' });
      await writeFile(draft.memoryPath, 'half');
      await draft.announce();
      await draft.abandon('the guest died');
    },
    tags: ['new'],
  },
  delete: {
    prepare: ready,
    run: (_dirs, store) => store.remove('victim'),
    tags: ['victim'],
    removes: ['victim'],
  },
  evict: {
    prepare: async (_dirs, store) => {
      for (const { tag } of store.list()) (await store.acquire(tag, 'sandbox')).release();
    },
    run: (_dirs, store) => store.evict(0),
    tags: [],
  },
  load: {
    prepare: (_dirs, store) => store.evict(0),
    run: async (_dirs, store) => (await store.acquire('kept', 'sandbox')).release(),
    tags: [],
  },
  compact: {
    prepare: ready,
    run: async (_dirs, store) => {
      await store.compact('base', { to: 'flat' });
      await store.durable('flat');
    },
    tags: ['flat'],
    makes: ['flat'],
  },
  quarantine: {
    before: (dirs) => flipByte(victimFile(dirs, 'vmstate.bin'), 3),
    prepare: ready,
    run: async (_dirs, store) => assert.rejects(store.acquire('victim', 'sandbox'), IntegrityError),
    tags: ['victim'],
    damaged: 'victim',
    removes: ['victim'],
  },
  restart: {
    before: async (dirs) => {
      await flipByte(victimFile(dirs, 'manifest.json'), 40);
      const store = await openIn(dirs);
      await store.draft({ tag: 'flat', mode: 'live' });
      armFailpoints('persist.started=error');
      await assert.rejects(captureChild(dirs, store, 'new'));
      disarmFailpoints();
      await store.close();
    },
    // What was only in memory may be gone with the power.
    run: (dirs, store) =>
      store.list().some(({ tag }) => tag === 'new') ? store.durable('new') : captureChild(dirs, store, 'new'),
    tags: ['new', 'victim'],
    makes: ['new'],
    removes: ['victim'],
  },
};

/**
 * After a crash: opens what is left and checks everything, see the header. Returns which of the operation's
 * tags were there.
 */
export async function checkStore(dirs: StoreDirs, name: string): Promise<string[]> {
  const operation = operationOf(name);
  const store = await openIn(dirs);
  try {
    for (const { tag, status } of store.list()) if (status === 'ready') await store.durable(tag);
    const present = await checkListed(dirs, store, operation);
    await checkFolders(dirs, store);
    await doAgain(dirs, store, operation);
    for (const { tag } of store.list()) await store.remove(tag, { force: true });
    assert.deepEqual(await filesOfStore(dirs), [], 'files remain after everything was deleted');
    return present;
  } finally {
    await store.close();
  }
}

/** After a failure in this process: what is listed is whole, and the operation can be done again at once. */
export async function checkOpenStore(dirs: StoreDirs, store: Store, name: string): Promise<void> {
  await checkListed(dirs, store, operationOf(name));
  await doAgain(dirs, store, operationOf(name));
}

function operationOf(name: string): Operation {
  const operation = OPERATIONS[name];
  assert(operation, name);
  return operation;
}

async function checkListed(dirs: StoreDirs, store: Store, { tags, damaged }: Operation): Promise<string[]> {
  const ready = store.list().filter(({ status }) => status === 'ready');
  const present = ready.map(({ tag }) => tag);
  for (const tag of [...BYSTANDERS, 'victim'])
    assert(present.includes(tag) || tags.includes(tag), `"${tag}" is lost`);
  for (const { tag, status } of store.list()) {
    const isExpected = tags.includes(tag) || (status === 'ready' && [...BYSTANDERS, 'victim'].includes(tag));
    assert(isExpected, `"${tag}" is ${status}`);
  }
  for (const tag of present) {
    try {
      await checkContent(dirs, store, tag);
    } catch (error) {
      if (!(error instanceof IntegrityError) || tag !== damaged) throw error;
    }
  }
  return present.filter((tag) => tags.includes(tag));
}

/** A child of the snapshot would see exactly what was captured. */
export async function checkContent(dirs: StoreDirs, store: Store, tag: string): Promise<void> {
  const expected = CONTENT[tag];
  assert(expected, tag);
  const sandbox = {
    hot: join(dirs.hotDir, 'sandboxes', 'check'),
    state: join(dirs.stateDir, 'sandboxes', 'check'),
  };
  using lease = await store.acquire(tag, 'sandbox check');
  try {
    const linked = await lease.linkInto(sandbox.hot, sandbox.state);
    assert.deepEqual(await readMemory(linked), memoryOf(expected.pages), `memory of "${tag}"`);
    assert.equal(await readFile(linked.vmstatePath, 'utf8'), expected.vmstate);
    const disks = await Promise.all(linked.disks.map(({ path }) => readFile(path, 'utf8')));
    assert.deepEqual(disks, expected.disks, `disks of "${tag}"`);
  } finally {
    for (const folder of Object.values(sandbox)) await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Both tiers hold the listed snapshots, each with the files of its manifest, and no folder with a temporary
 * name.
 */
export async function checkFolders({ stateDir, hotDir }: StoreDirs, store: Store): Promise<void> {
  const ready = store.list().filter(({ status }) => status === 'ready');
  for (const [root, tags] of [
    [stateDir, ready.filter(({ durable }) => durable).map(({ tag }) => tag)],
    [hotDir, ready.filter(({ hot }) => hot).map(({ tag }) => tag)],
  ] as const) {
    const folder = join(root, 'snapshots');
    assert.deepEqual((await readdir(folder)).sort(), [...tags].sort(), `folders in ${folder}`);
    for (const tag of tags) {
      const text = await readFile(join(folder, tag, 'manifest.json'), 'utf8');
      const { layers, disks } = JSON.parse(text) as Record<'layers' | 'disks', { file: string }[]>;
      const expected = [
        ...['manifest.json', 'manifest.sha256', 'vmstate.bin'],
        ...[...layers, ...(root === stateDir ? disks : [])].map(({ file }) => file),
      ];
      assert.deepEqual(
        await filesBelow(join(folder, tag)),
        expected.sort(),
        `files of "${tag}" in ${folder}`,
      );
    }
  }
}

/** Whoever was interrupted does the same again: it works, or it was done already. */
async function doAgain(dirs: StoreDirs, store: Store, operation: Operation): Promise<void> {
  const { makes = [], removes = [], damaged, prepare, run } = operation;
  const has = (tag: string): boolean =>
    store.list().some((view) => view.tag === tag && view.status === 'ready');
  const isDone = (): boolean => makes.every(has) && !removes.some(has);
  if (!isDone() || makes.length + removes.length === 0) {
    if (damaged === undefined) await prepare?.(dirs, store);
    await run(dirs, store);
  }
  assert(isDone(), 'it was not done again');
  for (const tag of BYSTANDERS) await checkContent(dirs, store, tag);
}

/**
 * What the store has on disk and in memory, besides its locks, what is in quarantine, and what sandboxes have
 * linked.
 */
export async function filesOfStore({ stateDir, hotDir }: StoreDirs): Promise<string[]> {
  const found = await Promise.all(
    [stateDir, hotDir].map(async (root) => (await filesBelow(root)).map((path) => join(root, path))),
  );
  return found.flat().filter((path) => !/\/(lock|quarantine\/.*|sandboxes\/.*)$/.test(path));
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
