import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { percentile, summarize } from './statistics.js';

describe('percentile()', () => {
  const oneToTen = [10, 1, 9, 2, 8, 3, 7, 4, 6, 5];

  it('is the value at the nearest rank, never one between', () => {
    assert.equal(percentile(oneToTen, 50), 5);
    assert.equal(percentile(oneToTen, 90), 9);
    assert.equal(percentile(oneToTen, 99), 10);
    assert.equal(percentile(oneToTen, 0), 1);
    assert.equal(percentile(oneToTen, 100), 10);
    assert.equal(percentile([7], 50), 7);
  });

  it('does not reorder what it is given', () => {
    const samples = [3, 1, 2];
    percentile(samples, 50);
    assert.deepEqual(samples, [3, 1, 2]);
  });

  it('refuses no samples and no percentages', () => {
    assert.throws(() => percentile([], 50), TypeError);
    assert.throws(() => percentile([1], 101), TypeError);
    assert.throws(() => percentile([1], NaN), TypeError);
  });
});

describe('summarize()', () => {
  it('keeps failures in the denominator, as slower than everything', () => {
    const summary = summarize([2, undefined, 1, 3]);
    assert.deepEqual(summary, {
      n: 4,
      failed: 1,
      first: 2,
      p50: 2,
      p90: Infinity,
      p99: Infinity,
      max: Infinity,
    });
  });

  it('tells the first one apart and includes it', () => {
    const summary = summarize([9, 1, 1]);
    assert.equal(summary?.first, 9);
    assert.equal(summary.max, 9);
  });

  it('is undefined for no attempts', () => {
    assert.equal(summarize([]), undefined);
  });
});
