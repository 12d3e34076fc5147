/**
 * Images that are removed: by name, or because nothing finds them any more.
 *
 * An image goes by a rename to a temporary name, so that none is ever found in part; who makes images is waited for. Snapshots keep
 * working: they hold what they need.
 *
 * Not handled: somebody who boots the image at this moment; then the boot fails.
 */
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ResourceStack, temporaryPath } from '../base/index.js';
import { requirePrograms } from './boot-archive.js';
import { imageFolders, listImages, readRecord } from './catalog.js';
import { definitionNames, readDefinition } from './definition.js';
import { ImageUnknown } from './errors.js';
import { removeTree, takeWorkshop, untilInterrupted, type Progress } from './workshop.js';

export interface RemovalOptions {
  readonly onProgress?: Progress;
  readonly signal?: AbortSignal;
}

/** Removes every image of that name, older ones too. Throws ImageUnknown when there is none. */
export async function removeImage(
  cacheDir: string,
  name: string,
  options: RemovalOptions = {},
): Promise<void> {
  await using undo = new ResourceStack();
  const folders = await takeFolders(cacheDir, undo, options);
  const ofName = folders.filter((folder) => folder.name === name);
  if (ofName.length === 0) {
    const names = folders.flatMap((folder) => folder.name ?? []);
    throw new ImageUnknown(name, [...new Set(names)].sort());
  }
  for (const { dir } of ofName) await removeFolder(dir);
}

/** Removes the images that no name finds: of an earlier definition, of an earlier import, damaged ones. Returns their folders' names. Throws
 * ImageUnusable, and removes nothing, where it cannot be told which those are. */
export async function pruneImages(cacheDir: string, options: RemovalOptions = {}): Promise<string[]> {
  await using undo = new ResourceStack();
  const folders = await takeFolders(cacheDir, undo, options);
  // What listImages() leaves out is to be damaged or out of date, not merely impossible to judge now.
  await requirePrograms();
  for (const name of await definitionNames()) await readDefinition(name);
  const found = new Set((await listImages(cacheDir)).map(({ dir }) => dir));
  const unfound = folders.filter(({ dir }) => !found.has(dir));
  for (const { dir } of unfound) await removeFolder(dir);
  await removeTree(join(cacheDir, 'fetched'));
  return unfound.map(({ dir }) => basename(dir)).sort();
}

interface Folder {
  readonly dir: string;
  /** Undefined where no record says it. */
  readonly name: string | undefined;
}

async function takeFolders(
  cacheDir: string,
  undo: ResourceStack,
  { onProgress = () => undefined, signal }: RemovalOptions,
): Promise<Folder[]> {
  await takeWorkshop(join(cacheDir, 'images'), undo, onProgress, untilInterrupted(undo, signal));
  return Promise.all(
    (await imageFolders(cacheDir)).map(async (dir) => {
      const record = await readRecord(dir).catch(() => undefined);
      return { dir, name: record?.name };
    }),
  );
}

async function removeFolder(dir: string): Promise<void> {
  const going = temporaryPath(dir);
  await rename(dir, going);
  await removeTree(going);
}
