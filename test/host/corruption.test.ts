import assert from 'node:assert/strict';
import { constants, copyFile, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { messageOf } from '../../src/base/index.js';
import { IntegrityError, SnapshotNotFound, type Store } from '../../src/store/index.js';
import { repeats } from '../support/drawn.js';
import { BYSTANDERS, checkContent, openIn, type StoreDirs } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';
import { Seeded } from '../faults/seeded.js';

/** Places in each file that are flipped, cut and overwritten; others in every run. */
const PLACES = repeats(8);
const VICTIM = 'victim';

/** Damages the file at `path`; what it did, in words. */
type Damage = (path: string, places: readonly number[]) => Promise<string>;

/** Every way to damage a file: at one place, or as a whole. */
const AT_PLACES: Readonly<Record<string, (path: string, at: number) => Promise<void>>> = {
  'one bit flipped': (path, at) => change(path, at, (byte) => byte ^ (1 << (at % 8))),
  'one byte changed': (path, at) => change(path, at, (byte) => (byte + 97) % 256),
  'cut off': (path, at) => truncate(path, at),
};
const WHOLE: Readonly<Record<string, Damage>> = {
  emptied: async (path) => {
    await truncate(path, 0);
    return 'emptied';
  },
  'longer by a byte': async (path) => {
    await truncate(path, (await stat(path)).size + 1);
    return 'longer by a byte';
  },
  missing: async (path) => {
    await rm(path);
    return 'missing';
  },
  'a symbolic link': async (path) => {
    const elsewhere = `${path}.elsewhere`;
    await copyFile(path, elsewhere);
    await rm(path);
    await symlink(elsewhere, path);
    return 'a symbolic link';
  },
};

describe('a snapshot that is damaged', () => {
  let copies: WorldCopies;
  let template: StoreDirs;
  let files: string[] = [];
  let own = new Map<string, readonly number[]>();
  let refused = 0;
  const random = Seeded.fromEnvironment();

  before(async () => {
    copies = await WorldCopies.open();
    ({ template } = copies);
    const folder = join(template.stateDir, 'snapshots', VICTIM);
    const all = await readdir(folder, { recursive: true, withFileTypes: true });
    files = all
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .sort();
    own = new Map(
      await Promise.all(files.map(async (file) => [file, await placesIn(folder, file, random)] as const)),
    );
  });
  after(async () => {
    await copies.close();
    console.log(`# corruptions refused by name: ${refused} of ${refused}; ${random.name}`);
  });

  /** Damages one file of the victim, and looks who may use it. */
  const isRefused = async (
    file: string,
    damage: (path: string) => Promise<unknown>,
    when: 'closed' | 'open',
  ): Promise<void> => {
    const dirs = await copies.make();
    try {
      const path = join(dirs.stateDir, 'snapshots', VICTIM, file);
      let store: Store | undefined;
      if (when === 'open') store = await openIn(dirs);
      await damage(path);
      store ??= await openIn(dirs);
      try {
        await expectRefusal(dirs, store, file);
      } finally {
        await store.close();
      }
      refused += 1;
    } finally {
      await copies.clean();
    }
  };

  it('anywhere in any file, is refused by name and kept aside; others are not touched', async () => {
    for (const file of files) {
      for (const at of own.get(file) ?? []) {
        for (const [name, damage] of Object.entries(AT_PLACES)) {
          await named(`${file} ${name} at ${at}`, () =>
            isRefused(file, (path) => damage(path, at), 'closed'),
          );
        }
      }
    }
  });

  it('as a whole, is refused by name and kept aside', async () => {
    for (const file of files) {
      for (const [name, damage] of Object.entries(WHOLE)) {
        await named(`${file} ${name}`, () => isRefused(file, (path) => damage(path, []), 'closed'));
      }
    }
  });

  it('by a file of another snapshot in its place, is refused', async () => {
    for (const file of files) {
      for (const other of BYSTANDERS) {
        const theirs = await theirFile(template, other, file);
        if (theirs === undefined) continue;
        const swap = async (path: string): Promise<void> => {
          await rm(path);
          await copyFile(theirs, path, constants.COPYFILE_FICLONE);
        };
        await named(`${file} of ${other}`, () => isRefused(file, swap, 'closed'));
      }
    }
  });

  it('while the store is open, is found when it is used', async () => {
    for (const file of files.filter((name) => !name.startsWith('manifest.'))) {
      for (const at of (own.get(file) ?? []).slice(0, 4)) {
        for (const [name, damage] of Object.entries(AT_PLACES)) {
          await named(`${file} ${name} at ${at}`, () => isRefused(file, (path) => damage(path, at), 'open'));
        }
      }
      await named(`${file} missing`, () => isRefused(file, (path) => rm(path), 'open'));
    }
  });

  it('by a manifest of another snapshot together with its checksum, is refused', async () => {
    for (const other of BYSTANDERS) {
      const from = join(template.stateDir, 'snapshots', other);
      await isRefused(
        'manifest.json',
        async (path) => {
          for (const name of ['manifest.json', 'manifest.sha256'])
            await writeFile(join(path, '..', name), await readFile(join(from, name)));
        },
        'closed',
      );
    }
  });

  it('in memory only, is read again from disk', async () => {
    const hotFiles = files.filter((file) => !file.startsWith('disk/') && !file.startsWith('manifest.'));
    for (const file of hotFiles) {
      for (const at of (own.get(file) ?? []).slice(0, 8)) {
        const dirs = await copies.make();
        const store = await openIn(dirs);
        try {
          (await store.acquire(VICTIM, 'sandbox')).release();
          const path = join(dirs.hotDir, 'snapshots', VICTIM, file);
          await change(path, at, (byte) => byte ^ 1);
          await checkContent(dirs, store, VICTIM);
        } finally {
          await store.close();
          await copies.clean();
        }
      }
    }
  });
});

/** The victim is not started; what is wrong is said; it is in quarantine, whole; the others work. */
async function expectRefusal(dirs: StoreDirs, store: Store, file: string): Promise<void> {
  const isListed = store.list().some(({ tag }) => tag === VICTIM);
  if (isListed) {
    const error = await store.acquire(VICTIM, 'sandbox').then(
      () => assert.fail('it was started'),
      (reason: unknown) => reason,
    );
    assert(error instanceof IntegrityError, String(error));
    assert.equal(error.object, file);
    assert(error.quarantinedTo);
  }
  await assert.rejects(store.acquire(VICTIM, 'sandbox'), SnapshotNotFound);
  const kept = await readdir(join(dirs.stateDir, 'quarantine'));
  assert.equal(kept.length, 1);
  assert(kept[0]?.startsWith(VICTIM));
  for (const tag of BYSTANDERS) await checkContent(dirs, store, tag);
}

/** Seeded places that matter: in a memory layer only what its runs hold is part of it. */
async function placesIn(folder: string, file: string, random: Seeded): Promise<number[]> {
  const { size } = await stat(join(folder, file));
  const { layers } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as {
    layers: { file: string; runs: [number, number][] }[];
  };
  const runs = layers.find((layer) => layer.file === file)?.runs ?? [[0, size] as [number, number]];
  const places = Array.from({ length: PLACES }, () => {
    const [offset, length] = random.pick(runs);
    return offset + random.below(length);
  });
  return [...new Set(places)];
}

/** The file which plays the same part in another snapshot, unless it is the same one. */
async function theirFile({ stateDir }: StoreDirs, tag: string, file: string): Promise<string | undefined> {
  const ours = await readFile(join(stateDir, 'snapshots', VICTIM, file));
  const folder = join(stateDir, 'snapshots', tag);
  const candidates = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const sameName = candidates.find((path) => path === join(folder, file));
  const sameKind = candidates.find(
    (path) =>
      path.endsWith(file.slice(file.lastIndexOf('.'))) && path.includes('/disk/') === file.includes('disk/'),
  );
  const found = sameName ?? sameKind;
  return found === undefined || (await readFile(found)).equals(ours) ? undefined : found;
}

async function change(path: string, at: number, how: (byte: number) => number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = how(bytes[at] ?? 0);
  // A file of its own: the damage is this snapshot's alone.
  await rm(path);
  await writeFile(path, bytes, { mode: 0o400 });
}

async function truncate(path: string, bytes: number): Promise<void> {
  const content = await readFile(path);
  await rm(path);
  await writeFile(path, content.subarray(0, bytes));
  const file = await open(path, 'r+');
  await file.truncate(bytes);
  await file.close();
}

async function named(what: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
}
