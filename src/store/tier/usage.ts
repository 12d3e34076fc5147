/** How much the snapshots take, every inode counted once however many of them link it. */
import { join } from 'node:path';
import type { StoredEntry } from '../catalog.js';
import { durableFolder, hotFolder, type StoreContext } from '../context.js';
import { countFile, filesBelow, type CountedFile } from './counted-file.js';

/** Memory that the layers of all hot snapshots take. */
export async function hotLayerBytes(context: StoreContext): Promise<number> {
  const hot = [...context.catalog.stored()].filter((entry) => entry.hot);
  return sumOnce(await Promise.all(hot.map((entry) => hotLayerFiles(context, entry))));
}

/** Disk space that all durable snapshots take. */
export async function durableBytes(context: StoreContext): Promise<number> {
  const durable = [...context.catalog.stored()].filter((entry) => entry.durable);
  return sumOnce(await Promise.all(durable.map((entry) => durableFiles(context, entry))));
}

/** All files of one snapshot, in both tiers, each link counted. */
export async function snapshotFiles(context: StoreContext, entry: StoredEntry): Promise<CountedFile[]> {
  const folders = [durableFolder(context, entry), hotFolder(context, entry)];
  return (await Promise.all(folders.map(filesBelow))).flat();
}

/** A hot snapshot's layers, bottom first; empty if the folder is on its way out. */
export function hotLayerFiles(context: StoreContext, entry: StoredEntry): Promise<CountedFile[]> {
  return countFiles(
    hotFolder(context, entry),
    entry.manifest.layers.map(({ file }) => file),
  );
}

function durableFiles(context: StoreContext, entry: StoredEntry): Promise<CountedFile[]> {
  const { layers, disks, vmstate } = entry.manifest;
  const files = [...layers, ...disks, vmstate].map(({ file }) => file);
  return countFiles(context.durable.snapshot(entry.tag), files);
}

async function countFiles(folder: string, files: readonly string[]): Promise<CountedFile[]> {
  try {
    return await Promise.all(files.map((file) => countFile(join(folder, file))));
  } catch {
    return [];
  }
}

function sumOnce(files: readonly (readonly CountedFile[])[]): number {
  const bytesByInode = new Map(files.flat().map(({ dev, ino, bytes }) => [`${dev}:${ino}`, bytes]));
  return [...bytesByInode.values()].reduce((sum, bytes) => sum + bytes, 0);
}
