import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { makeFixture, writeDisk } from '../support/store-fixture.js';

const CHILD = fileURLToPath(new URL('../faults/unsynced-store.js', import.meta.url));
const SOURCE = fileURLToPath(new URL('../../../test/faults/failing-fsync.c', import.meta.url));
const CONTENT = 'written by a guest';

describe('a disk file whose fsync fails once', () => {
  let folder = '';
  let library = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bough-fsync-'));
    library = join(folder, 'failing-fsync.so');
    await execa('cc', ['-std=gnu11', '-O2', '-Wall', '-fPIC', '-shared', '-o', library, SOURCE, '-ldl']);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** How both attempts ended; where the disk was and where it should be. */
  const persistTwice = async (
    t: TestContext,
    env: Record<string, string>,
  ): Promise<{ first: string; second: string; disk: string; kept: string }> => {
    const { stateDir, hotDir } = await makeFixture(t);
    const disk = join(stateDir, 'sandboxes', 'sb', 'disk');
    await writeDisk(disk, CONTENT);
    const { stdout } = await execa(process.execPath, [CHILD, JSON.stringify({ stateDir, hotDir, disk })], {
      env: { LD_PRELOAD: library, UV_USE_IO_URING: '0', FSYNC_FAILS: 'frozen.raw', ...env },
      timeout: 60_000,
    });
    const [first = '', second = ''] = JSON.parse(stdout) as string[];
    return { first, second, disk, kept: join(stateDir, 'snapshots', 'a', 'disk', 'frozen.raw') };
  };

  it('is copied by the next attempt, because a second fsync of it would tell nothing', async (t) => {
    const { first, second, disk, kept } = await persistTwice(t, {});
    assert.match(first, /could not be made durable: EIO/);
    assert.equal(second, 'durable');
    assert.equal(await readFile(kept, 'utf8'), CONTENT);
    assert.notEqual((await stat(kept)).ino, (await stat(disk)).ino);
  });

  it('is called damaged where its bytes were lost', async (t) => {
    const { first, second } = await persistTwice(t, { FSYNC_LOSES: '1' });
    assert.match(first, /could not be made durable: EIO/);
    assert.match(second, /disk\/frozen\.raw does not match its digest/);
  });
});
