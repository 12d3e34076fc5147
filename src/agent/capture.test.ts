import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Capture, MAX_CAPTURED_BYTES } from './capture.js';

describe('Capture', () => {
  it('keeps few pieces of a program that prints a byte at a time, between larger pieces too', (t) => {
    const concat = t.mock.method(Buffer, 'concat');
    const large = Buffer.alloc(8 << 10, 'L');
    const capture = new Capture();
    const byByte = Buffer.from('0123456789'.repeat(30_000));
    const expected: Buffer[] = [];
    for (let at = 0; at < byByte.length; at++) {
      const piece = byByte.subarray(at, at + 1);
      capture.add(piece);
      expected.push(piece);
      if (at % 50_000 !== 0) continue;
      capture.add(large);
      expected.push(large);
    }
    const text = capture.text();
    const [kept = []] = concat.mock.calls[0]?.arguments ?? [];
    assert(kept.length > 0 && kept.length < 100, `${kept.length} pieces are kept`);
    assert(text === Buffer.concat(expected).toString());
  });

  it('joins what comes in pieces of all sizes in their order, up to its limit', () => {
    const capture = new Capture();
    const expected: string[] = [];
    for (let length = 0; length < 9_000; length += 7) {
      const piece = String.fromCharCode(97 + (length % 26)).repeat(length);
      capture.add(Buffer.from(piece));
      expected.push(piece);
    }
    const all = expected.join('');
    assert(capture.text() === all);
    capture.add(Buffer.alloc(MAX_CAPTURED_BYTES));
    capture.add(Buffer.from('x'));
    assert(capture.truncated);
    assert(capture.text().endsWith(`[bough: ${all.length + 1} more bytes left out]\n`));
  });

  it('makes one of a character that was cut in two', () => {
    const capture = new Capture();
    const bytes = Buffer.from('ä');
    capture.add(bytes.subarray(0, 1));
    capture.add(bytes.subarray(1));
    assert.equal(capture.text(), 'ä');
  });
});
