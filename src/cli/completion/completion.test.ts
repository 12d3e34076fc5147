import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { CliDaemon } from '../../../test/support/cli-daemon.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

describe('completion', () => {
  let daemon: CliDaemon;
  let id: string;
  before(async () => {
    daemon = await CliDaemon.open();
    id = await daemon.spawn('--name', 'web.1');
    await daemon.spawn();
    await daemon.printed('branch', id, '--tag', 'point');
  });
  after(() => daemon.close());

  const words = async (...line: string[]): Promise<string[]> =>
    (await daemon.printed('__complete', '--', ...line))
      .split('\n')
      .filter((each) => each !== '')
      .map((each) => each.split('\t')[0] ?? '');

  it('offers commands by what is typed of them, and none that are hidden', async () => {
    assert.deepEqual(await words('sna'), ['snapshot', 'snapshots']);
    assert.deepEqual(await words('network', ''), ['show', 'set', 'check', 'log']);
    assert(!(await words('')).includes('__complete'));
  });

  it('offers options and the words that they take', async () => {
    assert.deepEqual(await words('sandbox', 'branch', 'x', '--mo'), ['--mode']);
    assert.deepEqual(await words('ls', '-o', 'j'), ['json']);
    assert.deepEqual(await words('ls', '--output=y'), ['yaml']);
    assert.deepEqual(await words('ls', '--output', '=', 'y'), ['yaml']);
    assert.deepEqual(await words('spawn', '--name', ''), []);
    assert.deepEqual(await words('completion', ''), ['bash', 'zsh', 'fish']);
  });

  it('offers sandboxes and snapshots where they are meant, by the daemon that is asked', async () => {
    assert.deepEqual(await words('exec', ''), ['web.1', 'sandbox2']);
    assert.deepEqual(await words('pause', 'web.1', 'sand'), ['sandbox2']);
    assert.deepEqual(await words('spawn', '--tag', ''), ['base', 'point']);
    assert.deepEqual(await words('snapshot', 'info', 'p'), ['point']);
    assert.deepEqual(await words('rm', 'w'), ['web.1']);
    assert.deepEqual(await words('rm', '--snapshot', 'p'), ['point']);
  });

  it('knows nothing of what a guest runs, and leaves files to the shell', async () => {
    assert.deepEqual(await words('exec', 'web.1', '--', 'l'), []);
    assert.deepEqual(await words('exec', 'web.1', 'ls', '--'), []);
    assert.deepEqual(await words('exec', 'web.1', '--tim'), ['--timeout']);
    assert.deepEqual(await words('ls', '--token-file', ''), [':files']);
  });

  it('offers nothing, and says nothing, when no daemon answers', async () => {
    const nowhere = { BOUGH_URL: 'http://127.0.0.1:1' };
    const ran = await daemon.run(['__complete', '--', 'exec', ''], { env: nowhere });
    assert.deepEqual(ran, { code: 0, stdout: '', stderr: '' });
  });

  it('works in the real bash', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bough-completion-'));
    try {
      const bough = join(folder, 'bough');
      writeFileSync(bough, `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`, { mode: 0o755 });
      const ask = (line: string): Promise<string> => completedByBash(bough, line, daemon.url);
      assert.equal(await ask('bough sna'), 'snapshot snapshots');
      assert.equal(await ask('bough ls --output=j'), 'json');
      assert.equal(await ask('bough exec we'), 'web.1');
      assert.equal(await ask('bough ls --token-file '), '');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** What bash would offer for `line`, its words split as bash splits them. */
async function completedByBash(bough: string, line: string, url: string): Promise<string> {
  const program = `
    PATH="$(dirname "$1"):$PATH"
    source <(bough completion bash)
    compopt() { :; }
    COMP_LINE=$2; COMP_POINT=\${#2}
    read -r -a COMP_WORDS <<< "\${2//=/ = }"
    [[ $2 == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
    _bough
    echo "\${COMPREPLY[*]}"`;
  const env = { BOUGH_URL: url };
  const { stdout } = await execa('bash', ['--norc', '-c', program, 'bash', bough, line], { env });
  return stdout;
}
