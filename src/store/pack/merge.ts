/** Merging neighbours in a stack of memory layers: one file that holds what they hold, those above over those below. */
import { chmod, open } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '../../base/index.js';
import type { StoreContext } from '../context.js';
import { removeAll, yieldTo } from '../context.js';
import { copyRunsInto, type CopyManners } from '../format/copy.js';
import { newObjectId } from '../tier/folders.js';
import { allocatedBytes } from '../tier/space.js';
import type { LayerRef } from '../types.js';
import { union, visibleRuns } from './fold.js';

/** See `Store.mergeLayers`. */
export async function mergeLayers(
  { hotSpace, captures }: Pick<StoreContext, 'hotSpace' | 'captures'>,
  layers: readonly LayerRef[],
  folder: string,
  isAwaited: () => boolean = () => false,
): Promise<LayerRef> {
  const id = newObjectId();
  const path = join(folder, `${id}.bin`);
  const runs = union(layers.flatMap((layer) => layer.runs));
  const giveWay = async (): Promise<void> => (isAwaited() ? undefined : yieldTo(captures));
  const bytes = runs.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0);
  const reservation = await hotSpace.reserve(bytes, () => allocatedBytes(path));
  try {
    await writeStack(layers, path, { giveWay });
    await failpoint('merge.written');
    await chmod(path, 0o400);
  } catch (error) {
    await removeAll(path);
    throw await hotSpace.explain(error);
  } finally {
    reservation.release();
  }
  return { id, path, runs, logicalBytes: layers[0]?.logicalBytes ?? 0 };
}

/** Writes a new layer file at `path` that reads as all of the layers, bottom first, do over each other. */
export async function writeStack(
  layers: readonly LayerRef[],
  path: string,
  manners: CopyManners = {},
): Promise<void> {
  const visible = visibleRuns(layers.map((layer) => layer.runs));
  const target = await open(path, 'wx', 0o600);
  try {
    await target.truncate(layers[0]?.logicalBytes ?? 0);
    for (const [index, layer] of layers.entries()) {
      await copyRunsInto(layer.path, visible[index] ?? [], target, manners);
    }
  } finally {
    await target.close();
  }
}
