import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LAYER_LIMIT, layersBelow } from './lineage.js';

const stack = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ...{ id: `layer${index}`, path: `/h/${index}`, logicalBytes: 1 << 20 },
    runs: [[0, 4096 * (index + 1)]] as const,
  }));

describe('layersBelow()', () => {
  it('leaves a short stack as it is', () => {
    const layers = stack(LAYER_LIMIT - 1);
    assert.deepEqual(layersBelow(layers, 'live'), { layers, copiedBytes: 0 });
  });

  it('folds all but the bottom layer of a long stack', () => {
    const layers = stack(LAYER_LIMIT);
    const below = layersBelow(layers, 'diff');
    assert.deepEqual(below.layers, layers.slice(0, 1));
    assert.equal(below.foldFrom, 1);
    assert.equal(below.copiedBytes, 4096 * (2 + 3 + 4 + 5 + 6 + 7 + 8));
  });

  it('lets a full capture stand on nothing', () => {
    const below = layersBelow(stack(2), 'full');
    assert.deepEqual(below, { layers: [], copiedBytes: 4096 * 3 });
  });
});
