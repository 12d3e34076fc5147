import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withProgress } from './progress.js';

describe('withProgress()', () => {
  const shown = async (
    isTerminal: boolean,
    env: Record<string, string>,
    seconds: number,
  ): Promise<string> => {
    let said = '';
    const io = { stderr: (text: string) => void (said += text), isTerminal, env };
    let finish: (words: string) => void = () => undefined;
    const done = new Promise<string>((resolve) => (finish = resolve));
    const work = withProgress(io, 'booting base', () => done);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    finish('booted');
    assert.equal(await work, 'booted');
    return said;
  };

  it('shows a line that is gone at the end, on a terminal only, and not for what is done at once', async () => {
    const [long, short, piped, dumb] = await Promise.all([
      shown(true, {}, 1.2),
      shown(true, {}, 0),
      shown(false, {}, 1.2),
      shown(true, { TERM: 'dumb' }, 1.2),
    ]);
    assert.match(long.replaceAll('\x1b[K', '<erased>'), /^\r<erased>booting base … \ds.*\r<erased>$/);
    assert.deepEqual([short, piped, dumb], ['', '', '']);
  });

  it('passes a failure on, and leaves no line', async () => {
    const io = { stderr: () => undefined, isTerminal: true, env: {} };
    await assert.rejects(
      withProgress(io, 'x', () => Promise.reject(new Error('no room'))),
      /no room/,
    );
  });
});
