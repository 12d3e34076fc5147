import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Seeded } from './seeded.js';
import { JsonText } from '../../src/daemon/v1/json-text.js';

function jsonOf(pieces: readonly Buffer[], limitBytes?: number): { json: string; truncated: boolean } {
  const text = new JsonText(limitBytes);
  for (const piece of pieces) text.add(piece);
  return { json: Buffer.concat(text.end()).toString(), truncated: text.truncated };
}

const SAMPLES = [
  Buffer.from('plain "quoted" \\ and\nlines\t'),
  Buffer.from('grün ✓ 日本語 😀'),
  Buffer.from([0, 1, 31, 127, 0x80, 0xff, 0xe2, 0x9c, 0xf0, 0x9f]),
  Buffer.alloc(100_000, 'ä'),
];

describe('JsonText', () => {
  for (const random of [new Seeded(1), Seeded.fromEnvironment()]) {
    it(`is the JSON of the whole text, however its bytes are cut, ${random.name}`, () => {
      for (let round = 0; round < 100; round++) {
        const whole = Buffer.concat(Array.from({ length: 1 + random.below(4) }, () => random.pick(SAMPLES)));
        const pieces: Buffer[] = [];
        for (let at = 0; at < whole.length;) {
          const until = at + 1 + random.below(random.pick([2, 50, 70_000]));
          pieces.push(whole.subarray(at, until));
          at = until;
        }
        assert.equal(jsonOf(pieces).json, JSON.stringify(whole.toString()), `round ${round}`);
      }
    });
  }

  it('keeps what fits and says what is missing', () => {
    const pieces = ['four', 'more', 'left'].map((text) => Buffer.from(text));
    assert.deepEqual(jsonOf(pieces, 12), { json: '"fourmoreleft"', truncated: false });
    const cut = JSON.stringify('fourm\n[bough: 7 more bytes left out]\n');
    assert.deepEqual(jsonOf(pieces, 5), { json: cut, truncated: true });
    assert.equal(jsonOf([]).json, '""');
  });
});
