import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CONSOLE_TAIL_BYTES, guestsOwnEnd, plainTail } from './last-words.js';

describe('plainTail()', () => {
  it('keeps whole lines of the end, and no more than fit', () => {
    const lines = Array.from({ length: 1000 }, (_, n) => `[${n}] line`);
    const tail = plainTail(`${lines.join('\r\n')}\r\n`).split('\n');
    assert.equal(tail.at(-1), '[999] line');
    assert.deepEqual(tail, lines.slice(-tail.length));
    assert(tail.join('\n').length <= CONSOLE_TAIL_BYTES);
  });

  it('cuts a flood without a line', () => {
    assert.equal(plainTail('x'.repeat(100_000)).length, CONSOLE_TAIL_BYTES);
  });

  it('counts bytes, and begins with a whole character', () => {
    const tail = plainTail('ä€'.repeat(10_000));
    assert(Buffer.byteLength(tail) <= CONSOLE_TAIL_BYTES);
    assert.match(tail, /^(ä€)+$/);
    // So many characters would fit, were they bytes.
    assert(Buffer.byteLength(plainTail('ä'.repeat(CONSOLE_TAIL_BYTES))) <= CONSOLE_TAIL_BYTES);
  });

  it('leaves nothing in it that a terminal would obey', () => {
    assert.equal(plainTail('\x1b[31mred\x07\b\0\x9bm\u202e end\r\n\tnext'), '[31mredm end\n\tnext');
  });
});

describe('guestsOwnEnd()', () => {
  it('is the reason, and only when it was the guest', () => {
    const event = (data: object, name = 'SHUTDOWN') => ({ event: name, data: { ...data }, unixMs: 0 });
    assert.equal(guestsOwnEnd(event({ guest: true, reason: 'guest-reset' })), 'guest-reset');
    assert.equal(guestsOwnEnd(event({ guest: false, reason: 'host-qmp-quit' })), undefined);
    assert.equal(guestsOwnEnd(event({ guest: true, reason: 'guest-reset' }, 'RESET')), undefined);
  });
});
