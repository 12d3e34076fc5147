/**
 * What a new memory layer stands on, and what it holds itself.
 *
 * A layer of a branch holds the private pages of its source and stands on the source's own layers, so chains grow by one with each
 * generation; those of a line of live branches stand on each other besides (line.ts). Once a source stands on too many, its branches' layers also hold all that its upper layers do, and stand on the
 * bottom layer alone, the template that everybody shares. A full capture holds everything and stands on nothing.
 */
import type { LayerRef, SnapshotMode } from '../../store/index.js';

/** Memory layers of a source from which on its branches are folded. */
export const LAYER_LIMIT = 8;
const KEPT_LAYERS = 1;

/** How a branch's layer relates to those of its source. */
export interface LayersBelow {
  /** What it stands on, bottom first. */
  readonly layers: readonly LayerRef[];
  /** Index of the first layer whose pages it holds too; absent if it holds none, or everything (`full`). */
  readonly foldFrom?: number;
  /** At most this many bytes are copied from layers. */
  readonly copiedBytes: number;
}

/** Pure. `layers` are the source's, bottom first. */
export function layersBelow(layers: readonly LayerRef[], mode: SnapshotMode): LayersBelow {
  if (mode === 'full') return { layers: [], copiedBytes: layerBytes(layers) };
  if (layers.length < LAYER_LIMIT) return { layers, copiedBytes: 0 };
  return {
    layers: layers.slice(0, KEPT_LAYERS),
    foldFrom: KEPT_LAYERS,
    copiedBytes: layerBytes(layers.slice(KEPT_LAYERS)),
  };
}

/** What the layers hold, each byte of each. */
export function layerBytes(layers: readonly LayerRef[]): number {
  return layers.flatMap(({ runs }) => runs).reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0);
}
