import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { execa } from 'execa';
import { PDEATHSIG, runTool } from './host-tools.js';

const HOST_TOOLS = new URL('./host-tools.js', import.meta.url).href;

/** Asks for a program that no host has, with an apt-get that does what `script` says; how that ended, and what apt-get was asked. */
async function ensureWith(
  t: TestContext,
  script: string,
): Promise<{ said: string[]; error: string; asked: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-tools-'));
  t.after(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'apt-get'), `#!/bin/sh\ncd ${dir}\necho "$@" >>asked\n${script}\n`);
  await chmod(join(dir, 'apt-get'), 0o755);
  const program = `
    const { ensureTools } = await import(${JSON.stringify(HOST_TOOLS)});
    const said = [];
    const tool = { program: 'bough-rake', debianPackage: 'rakes', purpose: 'rakes leaves' };
    const waiting = { onProgress: (step) => said.push(step), signal: new AbortController().signal };
    const error = await ensureTools('rake', [tool], waiting).then(() => '', (error) => error.message);
    console.log(JSON.stringify({ said, error }));`;
  const env = { PATH: `${dir}:${process.env['PATH'] ?? ''}` };
  const { stdout } = await execa(process.execPath, ['--input-type=module', '-e', program], { env });
  const ran = JSON.parse(stdout) as { said: string[]; error: string };
  return { ...ran, asked: await readFile(join(dir, 'asked'), 'utf8') };
}

describe('ensureTools()', () => {
  it('installs what is missing, and says what for', async (t) => {
    const installing = '[ "$4" = install ] && cp apt-get bough-rake; true';
    const { said, error, asked } = await ensureWith(t, installing);
    assert.equal(error, '');
    assert.deepEqual(said, ['bough-rake (rakes leaves) is missing: apt-get install rakes']);
    assert.match(asked, /update\n.* install --yes --no-install-recommends rakes\n$/);
  });

  it('gives up with what apt-get said', async (t) => {
    const { error } = await ensureWith(t, 'echo no network; exit 100');
    assert.match(error, /^Cannot rake: bough-rake \(rakes leaves\) is missing: .*\n.*no network$/s);
  });

  it('gives up when it is still missing', async (t) => {
    const { error } = await ensureWith(t, 'exit 0');
    assert.equal(error, 'Cannot rake: still bough-rake (rakes leaves) is missing: apt-get install rakes');
  });
});

describe('runTool()', () => {
  it('names the program that failed, not those around it, and leaves out what was tried again', async () => {
    const logged = (level: string, words: string): string =>
      `time="2026-01-01T00:00:00Z" level=${level} msg="${words}"`;
    const lines = [
      logged('warning', 'Failed, retrying in 1s ... (1/2). Error: no route'),
      logged('fatal', 'reading \\"/v2/\\": no route'),
    ];
    const script = `cat <<'END'\n${lines.join('\n')}\nEND\nexit 3`;
    const args = [...PDEATHSIG, 'env', 'sh', '-c', script];
    await assert.rejects(runTool('setpriv', args, { what: 'fetch it' }), {
      message: 'Cannot fetch it: env exited with 3\nreading "/v2/": no route',
    });
  });
});
