import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { debianSources } from './apt-sources.js';
import { ImageBuildFailed } from '../errors.js';

async function aptDir(t: TestContext, files: Record<string, string>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-apt-'));
  t.after(() => rm(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

describe('debianSources()', () => {
  it('reads both formats, without comments and disabled entries', async (t) => {
    const dir = await aptDir(t, {
      'sources.list':
        '# deb http://old.example/debian bookworm main\ndeb [arch=amd64 trusted=yes] http://a.example/debian bookworm main contrib # x\ndeb-src http://a.example/debian bookworm main\n',
      'sources.list.d/debian.sources':
        'Types: deb\n# a comment\nURIs: http://b.example/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\nEnabled: no\nTypes: deb\nURIs: http://c.example/debian\nSuites: bookworm\nComponents: main\n',
      'sources.list.d/debian.list.disabled': 'deb http://d.example/debian bookworm main\n',
    });
    const key = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
    assert.deepEqual(await debianSources('bookworm', dir), [
      'deb [trusted=yes] http://a.example/debian bookworm main',
      `deb ${key} http://b.example/debian bookworm main`,
      `deb ${key} http://b.example/debian bookworm-updates main`,
    ]);
  });

  it('leaves out third parties and other releases', async (t) => {
    const dir = await aptDir(t, {
      'sources.list.d/x.list':
        'deb http://x.example/linux/debian bookworm stable\ndeb http://y.example/apt bookworm-pgdg main\ndeb [signed-by=/etc/apt/keyrings/z.gpg] http://z.example bookworm main\ndeb http://v.example/debian trixie main\ndeb http://w.example/debian bookworm-security main\n',
    });
    assert.deepEqual(await debianSources('bookworm', dir), [
      'deb http://w.example/debian bookworm-security main',
    ]);
  });

  it('says so when there is none', async (t) => {
    await assert.rejects(debianSources('bookworm', await aptDir(t, {})), ImageBuildFailed);
  });
});
