import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mergedFrom } from './merging.js';

describe('mergedFrom()', () => {
  it('merges what is small, and leaves what is at least twice as large as all above it', () => {
    assert.equal(mergedFrom([1000, 8, 8, 8, 8]), 1);
    assert.equal(mergedFrom([1000, 64, 8, 8, 8]), 2);
    assert.equal(mergedFrom([8, 8, 8, 8, 8]), 0);
    assert.equal(mergedFrom([1024, 256, 64, 16, 4]), 3);
    assert.equal(mergedFrom([8, 0]), 0);
  });

  it('copies a byte seldom, whatever the length at which a stack is merged', () => {
    for (const { limit, branches, most } of [
      { limit: 5, branches: 100, most: 5 },
      { limit: 5, branches: 1000, most: 13 },
      { limit: 8, branches: 100, most: 3 },
      { limit: 8, branches: 1000, most: 6 },
    ]) {
      let stack = [4096];
      let copied = 0;
      for (let branch = 0; branch < branches; branch += 1) {
        if (stack.length >= limit) {
          const from = mergedFrom(stack);
          const merged = stack.slice(from).reduce((sum, bytes) => sum + bytes, 0);
          copied += merged;
          stack = [...stack.slice(0, from), merged];
        }
        stack.push(8);
        assert(stack.length <= limit);
      }
      assert(copied / (8 * branches) < most, `${limit}, ${branches}: ${copied / (8 * branches)} times`);
    }
  });
});
