import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_CALLS, MAX_STREAMS } from '../../agent/index.js';
import { limits } from './limits.js';

describe('limits', () => {
  it('take the connections of all streams and calls that two guests have at a time', () => {
    assert(limits.maxConnections >= 2 * (MAX_STREAMS + MAX_CALLS));
  });
});
