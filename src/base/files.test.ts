import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  linkOrCopy,
  removeUnfinished,
  temporaryPath,
  writeFileAtomic,
  type AtomicWriteOptions,
} from './files.js';

describe('files', () => {
  let dir = '';
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-files-'));
  });
  after(() => rm(dir, { recursive: true }));

  it('writeFileAtomic() replaces the file, sets its mode and leaves nothing else', async () => {
    const path = join(dir, 'a');
    await writeFileAtomic(path, 'old');
    await writeFileAtomic(path, 'new', { mode: 0o640, durable: true });
    assert.equal(await readFile(path, 'utf8'), 'new');
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.deepEqual(await readdir(dir), ['a']);
  });

  it('writeFileAtomic() is not asked for what is both in memory and durable', () => {
    // @ts-expect-error -- what is in memory does not survive a power loss
    const both: AtomicWriteOptions = { durable: true, inMemory: true };
    assert.deepEqual(Object.keys(both), ['durable', 'inMemory']);
  });

  it('writeFileAtomic() removes its temporary file when the rename fails', async () => {
    const path = join(dir, 'folder');
    await mkdir(join(path, 'child'), { recursive: true });
    await assert.rejects(writeFileAtomic(path, 'x'));
    assert.deepEqual((await readdir(dir)).sort(), ['a', 'folder']);
  });

  it('linkOrCopy() links on one file system, copies to another, never overwrites', async () => {
    const source = join(dir, 'source');
    await writeFile(source, 'bytes');
    assert.equal(await linkOrCopy(source, join(dir, 'linked')), 'linked');
    await assert.rejects(linkOrCopy(source, join(dir, 'linked')), { code: 'EEXIST' });
    const elsewhere = await mkdtemp('/dev/shm/bough-files-');
    try {
      const destination = join(elsewhere, 'copy');
      const how = await linkOrCopy(source, destination);
      const sameDevice = (await stat(dir)).dev === (await stat(elsewhere)).dev;
      assert.equal(how, sameDevice ? 'linked' : 'copied');
      assert.equal(await readFile(destination, 'utf8'), 'bytes');
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  it('removeUnfinished() removes what has a temporary name, and nothing else', async () => {
    const folder = join(dir, 'swept');
    assert.deepEqual(await removeUnfinished(folder), []);
    await mkdir(folder);
    await writeFile(join(folder, 'kept'), '');
    const names = [temporaryPath(join(folder, 'a')), temporaryPath(join(folder, 'b'))];
    await writeFile(names[0] ?? '', 'half');
    await mkdir(join(names[1] ?? '', 'below'), { recursive: true });
    assert.equal((await removeUnfinished(folder)).length, 2);
    assert.deepEqual(await readdir(folder), ['kept']);
  });
});
