import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatAge, formatBytes, formatMs } from './format.js';

describe('formats', () => {
  it('show bytes in binary units', () => {
    assert.deepEqual([0, 1023, 1024, 1536 * 1024 * 1024].map(formatBytes), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 GiB',
    ]);
    assert.equal(formatBytes(undefined), undefined);
  });

  it('show durations and ages', () => {
    assert.deepEqual([0.5, 999.999, 1500].map(formatMs), ['0.50 ms', '1000.00 ms', '1.50 s']);
    const age = (seconds: number) => formatAge(1000, (1000 + seconds) * 1000);
    assert.deepEqual([-5, 59, 60, 3600, 86_400].map(age), ['0s', '59s', '1m', '1h', '1d']);
  });
});
