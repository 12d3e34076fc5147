/** Snapshots that go into files and come from them: `export` and `import`. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';

describe('bough export and import', () => {
  let daemon: CliDaemon;
  let dir: string;
  before(async () => {
    daemon = await CliDaemon.open();
    dir = await mkdtemp(join(tmpdir(), 'bough-files-'));
  });
  after(async () => {
    await daemon.close();
    await rm(dir, { recursive: true });
  });

  it('write a file whole and take it in, or go by standard output and input', async () => {
    const file = join(dir, 'base.bough');
    await daemon.printed('export', 'base', file);
    assert.deepEqual(await readdir(dir), ['base.bough']);
    const text = await readFile(file, 'latin1');
    assert.equal(await daemon.printed('import', file, '--tag', 'one', '--allow-unsigned'), 'one\n');
    assert.equal(await daemon.printed('export', 'base', '-'), text);
    const io = { stdinChunks: () => Readable.from([Buffer.from(text)]) };
    const taken = await daemon.run(['import', '-', '--tag', 'two', '--allow-unsigned'], { io });
    assert.deepEqual([taken.code, taken.stdout], [0, 'two\n']);
  });

  it('name the file that cannot be read, which is no silent daemon', async () => {
    for (const [path, problem] of [
      [dir, /Cannot read .*: it is a folder/],
      [join(dir, 'absent'), /Cannot read .*absent: ENOENT/],
    ] as const) {
      const { code, stderr } = await daemon.run(['import', path]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, problem);
    }
  });

  it('name the file that cannot be written, and leave no other', async () => {
    const { code, stderr } = await daemon.run(['export', 'base', join(dir, 'absent/x')]);
    assert.equal(code, 1);
    assert.match(stderr, /^error: Cannot write .*absent\/x: ENOENT/);
    const full = await daemon.run(['export', 'base', dir]);
    assert.equal(full.code, 2);
    assert.match(full.stderr, /^error: Cannot write .*: it is a folder/);
    assert(!(await readdir(tmpdir())).some((name) => name.startsWith(`.tmp-${dir.split('/').at(-1) ?? ''}`)));
  });
});
