/**
 * A store next to a model of it that fits on a page: tags, what they hold, and what descends from what.
 *
 * `step` does one thing picked by chance to both, and compares: what is refused, what is listed, and what a
 * child would see.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compact } from '../../src/base/index.js';
import { SnapshotInUse, TagExists, type LinkedSnapshot, type Store } from '../../src/store/index.js';
import { capture, memoryOf, readMemory, writeDisk, type Pages } from '../support/store-fixture.js';
import type { Seeded } from './seeded.js';
import { openIn, type StoreDirs } from './store-world.js';

const TAGS = ['a', 'b', 'c', 'd', 'e', 'f'];
const PAGES = 64;
const MOST_SANDBOXES = 4;
/** qemu-img folds longer chains, and these disks are not real ones. */
const LONGEST_PLAIN_CHAIN = 2;

interface ModelSnapshot {
  readonly id: string;
  readonly pages: Pages;
  readonly disks: readonly string[];
  readonly ancestorIds: readonly string[];
}
interface ModelSandbox {
  readonly tag: string;
  readonly snapshot: ModelSnapshot;
  readonly linked: LinkedSnapshot;
  readonly folders: readonly string[];
}

export class StoreModel {
  readonly #dirs: StoreDirs;
  readonly #random: Seeded;
  readonly #snapshots = new Map<string, ModelSnapshot>();
  readonly #sandboxes = new Map<string, ModelSandbox>();
  #store: Store;
  #made = 0;

  private constructor(dirs: StoreDirs, random: Seeded, store: Store) {
    this.#dirs = dirs;
    this.#random = random;
    this.#store = store;
  }

  static async open(dirs: StoreDirs, random: Seeded): Promise<StoreModel> {
    return new StoreModel(dirs, random, await openIn(dirs));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Does one thing, and looks; what it did, in words. */
  async step(): Promise<string> {
    const { step } = this.#random.pick(
      this.#steps().flatMap((each) => Array.from({ length: each.weight }, () => each)),
    );
    const did = await step();
    const listed = this.#store.list().map(({ tag }) => tag);
    assert.deepEqual(listed.sort(), [...this.#snapshots.keys()].sort(), `after ${did}`);
    const tag = this.#random.pick([...TAGS]);
    if (this.#snapshots.has(tag)) await this.#look(tag);
    return did;
  }

  #steps(): { readonly weight: number; readonly step: () => Promise<string> }[] {
    return [
      { weight: 6, step: () => this.#capture() },
      { weight: 1, step: () => this.#abandon() },
      { weight: 4, step: () => this.#spawn() },
      { weight: 2, step: () => this.#end() },
      { weight: 3, step: () => this.#delete() },
      { weight: 1, step: () => this.#compact() },
      { weight: 2, step: () => this.#evict() },
      { weight: 1, step: () => this.#restart() },
      { weight: 1, step: () => this.#losePower() },
    ];
  }

  async #capture(): Promise<string> {
    const tag = this.#random.pick(TAGS);
    const from = this.#sandboxes.size === 0 ? undefined : this.#random.pick([...this.#sandboxes.values()]);
    const own: Pages = Object.fromEntries(
      Array.from({ length: 1 + this.#random.below(3) }, () => [
        this.#random.below(PAGES),
        1 + this.#random.below(255),
      ]),
    );
    const made = (this.#made += 1);
    const tail = `tail ${made}`;
    const image = join(this.#dirs.stateDir, `image-${made}`);
    if (from === undefined) await writeDisk(image, `image ${made}`);
    const on = from?.linked ?? {
      layers: [],
      disks: [{ id: `image-${made}`, path: image, format: 'raw' as const }],
    };
    try {
      const capturing = capture(this.#store, {
        tag,
        pages: own,
        on,
        tail,
        ...compact({ parentTag: from?.tag }),
      });
      if (this.#snapshots.has(tag)) {
        await assert.rejects(capturing, TagExists);
        return `a capture of ${tag}, which exists`;
      }
      const { draft, fields } = await capturing;
      const { id } = await draft.publish(fields);
      const parent = from === undefined ? undefined : this.#snapshots.get(from.tag);
      this.#snapshots.set(tag, {
        id,
        pages: { ...from?.snapshot.pages, ...own },
        disks: [...(from?.snapshot.disks ?? [`image ${made}`]), tail],
        // A tag that means another snapshot by now is still the parent that the request names.
        ancestorIds: parent === undefined ? [] : [...parent.ancestorIds, parent.id],
      });
      return `a capture of ${tag}${from === undefined ? '' : ` from ${from.tag}`}`;
    } finally {
      await rm(image, { force: true });
    }
  }

  async #abandon(): Promise<string> {
    const tag = this.#random.pick(TAGS);
    if (this.#snapshots.has(tag)) return 'nothing';
    const { draft } = await capture(this.#store, { tag });
    await draft.abandon();
    return `an abandoned ${tag}`;
  }

  async #spawn(): Promise<string> {
    if (this.#snapshots.size === 0 || this.#sandboxes.size >= MOST_SANDBOXES) return 'nothing';
    const [tag, snapshot] = this.#random.pick([...this.#snapshots]);
    const id = `sandbox-${(this.#made += 1)}`;
    const folders = [this.#dirs.hotDir, this.#dirs.stateDir].map((root) => join(root, 'sandboxes', id));
    using lease = await this.#store.acquire(tag, id);
    const linked = await lease.linkInto(folders[0] ?? '', folders[1] ?? '');
    this.#sandboxes.set(id, { tag, snapshot, linked, folders });
    return `a child of ${tag}`;
  }

  async #end(): Promise<string> {
    if (this.#sandboxes.size === 0) return 'nothing';
    const [id, { tag, snapshot, linked, folders }] = this.#random.pick([...this.#sandboxes]);
    // Whatever became of its snapshot since.
    assert.deepEqual(await readMemory(linked), memoryOf(snapshot.pages), `the child of ${tag}`);
    for (const folder of folders) await rm(folder, { recursive: true });
    this.#sandboxes.delete(id);
    return `the end of a child of ${tag}`;
  }

  async #delete(): Promise<string> {
    if (this.#snapshots.size === 0) return 'nothing';
    const [tag, { id }] = this.#random.pick([...this.#snapshots]);
    const how = this.#random.pick(['plain', 'force', 'cascade'] as const);
    const dependents = [...this.#snapshots].filter(([, { ancestorIds }]) => ancestorIds.includes(id));
    const victims = how === 'cascade' ? [tag, ...dependents.map(([dependent]) => dependent)] : [tag];
    const sandboxesOf = (of: string): string[] =>
      [...this.#sandboxes].filter(([, sandbox]) => sandbox.tag === of).map(([each]) => each);
    const isUsed =
      (how !== 'force' && victims.some((victim) => sandboxesOf(victim).length > 0)) ||
      (how === 'plain' && dependents.length > 0);
    const options = { cascade: how === 'cascade', force: how === 'force', sandboxesOf };
    const deleting = this.#store.remove(tag, options);
    if (isUsed) {
      await assert.rejects(deleting, SnapshotInUse);
      return `a refused removal of ${tag} (${how})`;
    }
    await deleting;
    for (const victim of victims) this.#snapshots.delete(victim);
    return `the removal of ${tag} (${how})`;
  }

  async #compact(): Promise<string> {
    const short = [...this.#snapshots].filter(([, { disks }]) => disks.length <= LONGEST_PLAIN_CHAIN);
    const free = TAGS.filter((tag) => !this.#snapshots.has(tag));
    if (short.length === 0 || free.length === 0) return 'nothing';
    const [tag, { pages, disks }] = this.#random.pick(short);
    const to = this.#random.pick(free);
    const { id } = await this.#store.compact(tag, { to });
    this.#snapshots.set(to, { id, pages, disks, ancestorIds: [] });
    return `${tag} compacted to ${to}`;
  }

  async #evict(): Promise<string> {
    return `the eviction of ${(await this.#store.evict(0)).join(', ')}`;
  }

  async #restart(): Promise<string> {
    await this.#store.close();
    this.#store = await openIn(this.#dirs);
    return 'a restart';
  }

  /** Memory is lost, and with it what was not durable. */
  async #losePower(): Promise<string> {
    const wasDurable = this.#store.list().filter(({ durable }) => durable);
    await this.#store.close();
    await rm(this.#dirs.hotDir, { recursive: true });
    await mkdir(this.#dirs.hotDir, { mode: 0o700 });
    await rm(join(this.#dirs.stateDir, 'sandboxes'), { recursive: true, force: true });
    this.#sandboxes.clear();
    this.#store = await openIn(this.#dirs);
    const there = this.#store.list().map(({ tag }) => tag);
    for (const { tag } of wasDurable) assert(there.includes(tag), `"${tag}" was durable`);
    for (const tag of [...this.#snapshots.keys()]) if (!there.includes(tag)) this.#snapshots.delete(tag);
    return 'a power loss';
  }

  /** A child would see what was captured. */
  async #look(tag: string): Promise<void> {
    const expected = this.#snapshots.get(tag);
    assert(expected);
    const folders = [this.#dirs.hotDir, this.#dirs.stateDir].map((root) => join(root, 'look'));
    using lease = await this.#store.acquire(tag, 'a look');
    const linked = await lease.linkInto(folders[0] ?? '', folders[1] ?? '');
    assert.deepEqual(await readMemory(linked), memoryOf(expected.pages), `memory of ${tag}`);
    const disks = await Promise.all(linked.disks.map(({ path }) => readFile(path, 'utf8')));
    assert.deepEqual(disks, expected.disks, `disks of ${tag}`);
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  }
}
