import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compact } from './compact.js';

describe('compact()', () => {
  it('leaves out what is undefined, and nothing else', () => {
    const found: number | undefined = [1, 2].find((each) => each > 2);
    const made: { zero: number; none: null; found?: number } = compact({ zero: 0, none: null, found });
    assert.deepEqual(Object.keys(made), ['zero', 'none']);
  });

  it('keeps what is there', () => {
    const name: string | undefined = ['a'].at(0);
    const made: { name?: string } = compact({ name });
    assert.deepEqual(made, { name: 'a' });
  });
});
