import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { byteCount, keepArgument, keepText } from './keep-argument.js';

describe('what stays of checkpoints, on the command line', () => {
  it('is ages, and of each all or one in an interval', () => {
    assert.deepEqual(keepArgument('60s:all,1h:1/min,1d:1/h,30d:1/12h'), [
      { within_secs: 60 },
      { within_secs: 3600, every_secs: 60 },
      { within_secs: 86_400, every_secs: 3600 },
      { within_secs: 2_592_000, every_secs: 43_200 },
    ]);
    for (const wrong of ['', '60s', '60s:', '60s:2/min', '60s:1/', '60s:all:1', 'x:all', '60s:all,'])
      assert.throws(() => keepArgument(wrong), /It must be/, wrong);
  });

  it('reads back as it was given', () => {
    const tiers = keepArgument('60s:all,1h:1/min');
    assert.deepEqual(keepArgument(keepText(tiers)), tiers);
  });

  it('takes bytes with a unit', () => {
    assert.deepEqual(
      [byteCount('1'), byteCount('500MiB'), byteCount('1.5GiB')],
      [1, 524_288_000, 1_610_612_736],
    );
    for (const wrong of ['', '0', 'GiB', '1GB', '-1', '1.2.3MiB'])
      assert.throws(() => byteCount(wrong), /bytes/, wrong);
  });
});
