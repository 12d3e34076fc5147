import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentIo } from '../../test/support/cli-in-process.js';
import { networkPolicySchema, type NetworkMode } from '../contract/index.js';
import { withNetworkHint } from './network-hint.js';

interface Case {
  readonly mode?: NetworkMode;
  readonly pieces?: readonly string[];
  readonly status?: number;
  readonly isTerminal?: boolean;
  readonly stays?: boolean;
}

/** What is on stderr afterwards, and how often the daemon was asked. */
async function said(how: Case): Promise<[text: string, asked: number]> {
  const { mode = 'none', pieces = ['curl: (6) Could not resolve host: a.example\n'], status = 6 } = how;
  const { isTerminal = true, stays = true } = how;
  const counts = { open: 0, connections: 0, refused: 0, queries: 0, bytes_up: 0, bytes_down: 0 };
  let [text, printed, asked] = ['', '', 0];
  const io = {
    ...silentIo,
    isTerminal,
    stderr: (words: string) => void (text += words),
    write: (_stream: string, bytes: Uint8Array) =>
      Promise.resolve(void (printed += Buffer.from(bytes).toString())),
  };
  const get = () => {
    asked++;
    return Promise.resolve({ policy: networkPolicySchema.parse({ mode }), ...counts });
  };
  const ended = await withNetworkHint({ io, id: 'box', network: { get }, stays }, async ({ write }) => {
    for (const piece of pieces) await write('stderr', Buffer.from(piece));
    return status;
  });
  assert.deepEqual([ended, printed], [status, pieces.join('')]);
  return [text, asked];
}

describe('withNetworkHint()', () => {
  it('says after a program that found no host what the network is, and what gives more', async () => {
    const started =
      'hint: the sandbox\'s network is "none"; --network internet or --allow <host> gives a new one more\n';
    assert.deepEqual(await said({}), [started, 1]);
    assert.deepEqual(await said({ mode: 'list', stays: false }), [started.replace('none', 'list'), 1]);
    const [text] = await said({ mode: 'off' });
    assert.match(
      text,
      /^hint: .* is "off"; `bough network log box` .* `bough network set box --allow <host>` .*\n$/,
    );
  });

  it('finds the words of each library, also in two pieces', async () => {
    for (const words of [
      'URLError: <urlopen error [Errno -3] Temporary failure in name resolution>',
      '[Errno -2] Name or service not known',
      "Temporary failure resolving 'deb.example'",
      'npm error code EAI_AGAIN',
      'getaddrinfo ENOTFOUND a.example',
    ])
      for (const pieces of [[words], [words.slice(0, 40), words.slice(40)], words.split('')])
        assert.equal((await said({ pieces }))[1], 1, words);
  });

  it('says nothing of a program that succeeded or said nothing like it, or to nobody, and then asks nobody', async () => {
    for (const how of [{ status: 0 }, { pieces: ['no such file\n'] }, { isTerminal: false }])
      assert.deepEqual(await said(how), ['', 0]);
    assert.deepEqual(await said({ mode: 'internet' }), ['', 1]);
  });
});
