/**
 * What is found at start: complete snapshots are listed, damaged ones are put into quarantine, everything else is garbage.
 *
 * Both tiers are read completely before anything is changed, so that a store written by a later version stays as it is. Only names,
 * manifests and sizes are looked at here; contents are checked when a snapshot is first used.
 */
import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, failpoint, fsyncPath } from '../../base/index.js';
import { StoredEntry } from '../catalog.js';
import { removeAll, type StoreContext } from '../context.js';
import { StoreTooNew } from '../errors.js';
import { readFailed, removeFailed, writeFailed } from './failed.js';
import { READY_PREFIX, type TierFolder } from '../tier/folders.js';
import { readManifest } from '../format/manifest-file.js';
import { TAG_PATTERN, type Manifest } from '../format/manifest.js';
import { renameIfPresent } from './remove.js';

interface Scan {
  readonly manifests: Map<string, Manifest>;
  /** Name in `snapshots/` → what is wrong with it. */
  readonly damaged: Map<string, string>;
  /** Names that start with a dot. */
  readonly temporary: string[];
}

/** Fills the catalog; returns the snapshots that still have to be persisted. Throws StoreTooNew with nothing changed. */
export async function recover(context: StoreContext): Promise<StoredEntry[]> {
  const { catalog, durable, hot } = context;
  // A daemon killed between a rename and its fsync: what is called durable from here on must be.
  await fsyncPath(durable.snapshots);
  const durableScan = await scan(durable);
  const hotScan = await scan(hot);
  await failpoint('recover.scanned');
  const entries: StoredEntry[] = [];
  for (const [tag, manifest] of durableScan.manifests) {
    const damage = await missingFile(manifest, [durable.snapshot(tag)]);
    if (damage === undefined) entries.push(new StoredEntry(manifest, { hot: false, durable: true }));
    else durableScan.damaged.set(tag, damage);
  }
  for (const [tag, manifest] of hotScan.manifests) await recoverHot(context, entries, hotScan, tag, manifest);
  await quarantineAll(context, durable, durableScan);
  await quarantineAll(context, hot, hotScan);
  await failpoint('recover.quarantined');
  await removeGarbage(context, entries, durableScan, hotScan);
  await failpoint('recover.cleaned');
  entries.sort((a, b) => a.createdAtUnix - b.createdAtUnix || a.ancestors.length - b.ancestors.length);
  for (const entry of entries) catalog.put(entry);
  await takeOverFailed(context);
  for (const failed of await readFailed(hot.failed)) {
    if (catalog.find(failed.tag) === undefined) catalog.put(failed);
    else await removeFailed(hot.failed, failed.tag);
  }
  return entries.filter((entry) => !entry.durable);
}

/** Earlier versions had them on disk. */
async function takeOverFailed(context: StoreContext): Promise<void> {
  const { failed } = context.durable;
  for (const entry of await readFailed(failed)) await writeFailed(context, entry);
  await rm(failed, { recursive: true, force: true });
}

async function recoverHot(
  context: StoreContext,
  entries: StoredEntry[],
  hotScan: Scan,
  tag: string,
  manifest: Manifest,
): Promise<void> {
  const folder = context.hot.snapshot(tag);
  const onDisk = entries.find((entry) => entry.tag === tag);
  if (onDisk !== undefined && onDisk.id !== manifest.id) {
    hotScan.damaged.set(tag, `is ${manifest.id}, but the durable snapshot of that name is ${onDisk.id}`);
  } else if (onDisk !== undefined) {
    // A hot copy of a durable snapshot is a cache: used if whole, else dropped. Its disk files are in the durable folder.
    if ((await missingFile({ ...manifest, disks: [] }, [folder])) === undefined) {
      onDisk.hot = true;
      await removeAll(join(folder, 'disk'));
    } else {
      await removeAll(folder);
    }
  } else {
    const ready = context.durable.ready(manifest.id);
    const damage = await missingFile(manifest, [folder, ready]);
    if (damage === undefined) {
      await mkdir(join(ready, 'disk'), { recursive: true, mode: 0o700 });
      entries.push(new StoredEntry(manifest, { hot: true, durable: false }));
    } else {
      hotScan.damaged.set(tag, damage);
    }
  }
}

async function scan(tier: TierFolder): Promise<Scan> {
  const result: Scan = { manifests: new Map(), damaged: new Map(), temporary: [] };
  for (const item of await readdir(tier.snapshots, { withFileTypes: true })) {
    const { name } = item;
    if (name.startsWith('.')) {
      result.temporary.push(name);
    } else if (!item.isDirectory() || !TAG_PATTERN.test(name)) {
      result.damaged.set(name, 'is not a snapshot folder');
    } else {
      try {
        const manifest = await readManifest(tier.snapshot(name));
        if (manifest.tag === name) result.manifests.set(name, manifest);
        else result.damaged.set(name, `manifest.json is that of snapshot "${manifest.tag}"`);
      } catch (error) {
        if (error instanceof StoreTooNew) throw error;
        result.damaged.set(name, `manifest.json ${error instanceof Error ? error.message : 'is unreadable'}`);
      }
    }
  }
  return result;
}

/** The first file that is not there or not of its size, in words; each may be in any of the folders. */
async function missingFile(manifest: Manifest, folders: readonly string[]): Promise<string | undefined> {
  const expected = [
    ...manifest.layers.map(({ file, logicalBytes }) => ({ file, bytes: logicalBytes })),
    ...manifest.disks,
    manifest.vmstate,
  ];
  for (const { file, bytes } of expected) {
    const sizes = await Promise.all(folders.map((folder) => sizeOf(join(folder, file))));
    const found = sizes.filter((size) => size !== undefined);
    if (found.length === 0) return `${file} is missing`;
    if (!found.includes(bytes)) return `${file} has ${found.join(' or ')} bytes, not ${bytes}`;
  }
  return undefined;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const stats = await lstat(path);
    return stats.isFile() ? stats.size : undefined;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function quarantineAll(context: StoreContext, tier: TierFolder, { damaged }: Scan): Promise<void> {
  for (const [name, reason] of damaged) {
    const kept = tier.quarantined(name);
    await renameIfPresent(tier.snapshot(name), kept);
    context.emit('snapshot.quarantined', { tag: name, reason, to: kept });
  }
}

async function removeGarbage(
  context: StoreContext,
  entries: readonly StoredEntry[],
  durableScan: Scan,
  hotScan: Scan,
): Promise<void> {
  const needed = new Set(entries.filter((entry) => !entry.durable).map((entry) => READY_PREFIX + entry.id));
  for (const name of durableScan.temporary) {
    if (!needed.has(name)) await removeAll(context.durable.snapshot(name));
  }
  for (const name of hotScan.temporary) await removeAll(context.hot.snapshot(name));
}
