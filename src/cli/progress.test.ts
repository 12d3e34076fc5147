import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withProgress } from './progress.js';

/** Without what tells the terminal not to wrap a line. */
const plain = (text: string): string =>
  text.replaceAll('\x1b[K', '<erased>').replaceAll('\x1b[?7l', '').replaceAll('\x1b[?7h', '');

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
    assert.match(plain(long), /^\r<erased>booting base … \ds.*\r<erased>$/);
    assert.deepEqual([short, piped, dumb], ['', '', '']);
  });

  it('tells how far it is, in a bar where that is known, and what is done now', async () => {
    const lines: string[] = [];
    const io = { stderr: (text: string) => void lines.push(plain(text)), isTerminal: true, env: {} };
    const shows = async (words: RegExp): Promise<void> => {
      lines.length = 0;
      while (!lines.some((line) => words.test(line))) await new Promise((resolve) => setTimeout(resolve, 50));
    };
    async function* halves(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1 << 20);
      await shows(/^\r<erased>sending … \[#{10} {10}\] 50 %, 1\.0 MiB of 2\.0 MiB, \ds$/);
      yield new Uint8Array(1 << 20);
    }
    await withProgress(io, 'sending', async ({ counted, moved, doing }) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of counted(halves(), () => 2 << 20)) pieces.push(piece);
      assert.equal(pieces.length, 2);
      await shows(/^\r<erased>sending … \ds$/);
      moved(512);
      await shows(/sending … 512 B, \ds$/);
      doing('checking');
      await shows(/^\r<erased>checking … \ds$/);
    });
    assert.equal(lines.at(-1), '\r<erased>');
  });

  it('passes a failure on, and leaves no line', async () => {
    const io = { stderr: () => undefined, isTerminal: true, env: {} };
    await assert.rejects(
      withProgress(io, 'x', () => Promise.reject(new Error('no room'))),
      /no room/,
    );
  });
});
