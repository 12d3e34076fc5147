import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { longestGapMs, parseGaps, startGapProbe } from './gap-probe.js';
import type { Guest } from './guest.js';

describe('parseGaps()', () => {
  it('reads the answer as the interpreter prints it, without the line that was cut off', () => {
    const answer = `'12.500000|4 3.000;11.000000 7.250;12.400000 2.100;12.45'`;
    assert.deepEqual(parseGaps(answer), {
      nowSeconds: 12.5,
      gaps: [
        { endSeconds: 11, gapMs: 7.25 },
        { endSeconds: 12.4, gapMs: 2.1 },
      ],
    });
  });

  it('refuses anything else', () => {
    assert.throws(() => parseGaps('None'), SyntaxError);
  });
});

describe('longestGapMs()', () => {
  const gaps = [
    { endSeconds: 1, gapMs: 50 },
    { endSeconds: 2, gapMs: 9 },
    { endSeconds: 3, gapMs: 40 },
  ];

  it('looks at the window only, and stands at the floor for nothing', () => {
    assert.equal(longestGapMs(gaps, 1.5, 2.5), 9);
    assert.equal(longestGapMs(gaps, 2.1, 2.9), 2);
  });
});

describe('startGapProbe()', () => {
  it('cuts its own questions off both ends of the window', async () => {
    const answers = [
      'False',
      'True',
      `'10.000000|'`,
      `'11.000000|10.001000 90.000;10.500000 6.000;10.999000 80.000;'`,
    ];
    const guest: Guest = {
      exec: () => Promise.resolve(''),
      eval: () => Promise.resolve(answers.shift() ?? ''),
    };
    const probe = await startGapProbe(guest);
    assert.deepEqual(await probe.during(() => Promise.resolve('done')), { result: 'done', gapMs: 6 });
  });
});
