import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import { readChunks } from './standard-input.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

describe('the process of the command line', () => {
  it('ends quietly with 0 when its reader leaves early', async () => {
    const daemon = await CliDaemon.open();
    try {
      const id = await daemon.spawn();
      const line =
        '"$0" "$1" exec -i "$2" -- cat < /dev/zero | head -c 10 > /dev/null; echo "${PIPESTATUS[0]}"';
      const { stdout, stderr } = await execa('bash', ['-c', line, process.execPath, MAIN, id], {
        env: { BOUGH_URL: daemon.url },
        timeout: 30_000,
      });
      assert.deepEqual([stdout, stderr], ['0', '']);
    } finally {
      await daemon.close();
    }
  });

  it('says of an address where nobody is one line, and a hint', async () => {
    for (const url of ['http://127.0.0.1:9', 'http://nobody.invalid:8889', 'http://[::1]:9']) {
      const { stderr, exitCode } = await execa(process.execPath, [MAIN, 'ls', '--url', url], {
        reject: false,
      });
      assert.match(stderr, /^error: No answer from [^\n]+\nhint: [^\n]+$/);
      assert.equal(exitCode, 3);
    }
  });
});

describe('readChunks()', () => {
  it('gives the bytes as they come and ends with them', async () => {
    const chunks: Uint8Array[] = [];
    const input = Readable.from([Buffer.from([0, 255]), Buffer.from([1])]);
    for await (const chunk of readChunks(input, new AbortController().signal)) chunks.push(chunk);
    assert.deepEqual(Buffer.concat(chunks), Buffer.from([0, 255, 1]));
  });

  it('ends, and closes its input, when the signal fires while nothing comes', async () => {
    const stop = new AbortController();
    const input = new Readable({ read: () => undefined });
    const reading = readChunks(input, stop.signal).next();
    stop.abort();
    assert.equal((await reading).done, true);
    assert(input.destroyed);
  });
});
