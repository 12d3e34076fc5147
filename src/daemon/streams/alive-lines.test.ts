import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aliveLines } from './alive-lines.js';

describe('lines that are followed', () => {
  it('begin with an empty one, are as they come, and have empty ones between while nothing comes', async () => {
    let go = (): void => undefined;
    const gone = new Promise<void>((resolve) => (go = resolve));
    async function* lines(): AsyncGenerator<Uint8Array> {
      await gone;
      yield Buffer.from('{"a":1}\n{"b":2}\n');
    }
    const alive = aliveLines(lines(), 1);
    const next = async (): Promise<string> => Buffer.from((await alive.next()).value ?? 'end').toString();
    assert.deepEqual([await next(), await next(), await next()], ['\n', '\n', '\n']);
    go();
    let told = await next();
    while (told === '\n') told = await next();
    assert.equal(told, '{"a":1}\n{"b":2}\n');
    assert.equal(await next(), 'end');
  });

  it('end with whoever stops reading', async () => {
    let isOver = false;
    async function* lines(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield await Promise.resolve(Buffer.from('{}\n'));
      } finally {
        isOver = true;
      }
    }
    const alive = aliveLines(lines());
    await alive.next();
    await alive.next();
    await alive.return();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isOver, true);
  });
});
