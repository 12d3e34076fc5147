import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { UsageError } from './exit.js';
import { readText } from './standard-input.js';

describe('readText()', () => {
  const refused = (words: RegExp) => (error: unknown) =>
    error instanceof UsageError && words.test(error.message);

  it('gives text as it is: a byte order mark, a zero, characters cut by chunks', async () => {
    const text = '\ufeff\u20ac\0\r\n';
    const bytes = [...Buffer.from(text)].map((byte) => Buffer.of(byte));
    assert.equal(await readText(Readable.from(bytes), 100), text);
    assert.equal(await readText(Readable.from([]), 100), '');
  });

  it('refuses bytes that would not arrive as they are', async () => {
    for (const bytes of [Buffer.of(0xff), Buffer.from('\u20ac').subarray(0, 2)])
      await assert.rejects(readText(Readable.from([bytes]), 100), refused(/not text in UTF-8/));
  });

  it('refuses more than a request can hold, also what never ends', async () => {
    function* endless(): Generator<Buffer> {
      for (;;) yield Buffer.alloc(60);
    }
    assert.equal((await readText(Readable.from([Buffer.alloc(100)]), 100)).length, 100);
    await assert.rejects(readText(Readable.from(endless()), 100), refused(/larger than the 100 bytes/));
  });
});
