import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Header, type HeaderData } from 'tar';
import { unpack } from './unpack.js';

const END = Buffer.alloc(1024);

/** An archive of such entries, each with as many bytes as it says. */
function archive(...entries: HeaderData[]): Buffer {
  const blocks = entries.flatMap((fields) => {
    const [block, size] = [Buffer.alloc(512), fields.size ?? 0];
    new Header({ mode: 0o644, ...fields, size }).encode(block);
    return [block, Buffer.alloc(Math.ceil(size / 512) * 512, 'x')];
  });
  return Buffer.concat([...blocks, END]);
}

describe('an archive of a guest', () => {
  let [dir, folder] = ['', ''];
  const notes: string[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-unpack-'));
    folder = join(dir, 'to');
    await mkdir(folder);
    await writeFile(join(dir, 'outside'), 'mine');
    await mkdir(join(dir, 'elsewhere'));
    notes.length = 0;
  });
  afterEach(() => rm(dir, { recursive: true }));

  const unpacked = async (bytes: Uint8Array, chunkBytes = 700): Promise<void> => {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += chunkBytes)
        yield await Promise.resolve(bytes.subarray(at, at + chunkBytes));
    }
    await unpack(folder, pieces(), (words) => notes.push(words));
  };
  const nothingOutside = async (): Promise<void> => {
    assert.deepEqual((await readdir(dir)).sort(), ['elsewhere', 'outside', 'to']);
    assert.deepEqual(await readdir(join(dir, 'elsewhere')), []);
    assert.equal(await readFile(join(dir, 'outside'), 'utf8'), 'mine');
  };

  it('puts nothing outside of the folder, by no name', async () => {
    for (const path of ['../out', 'a/../../out', 'a/..', '..'])
      await assert.rejects(unpacked(archive({ path, type: 'File', size: 3 })), /could be anywhere/, path);
    await unpacked(archive({ path: join(dir, 'absolute'), type: 'File', size: 3 }));
    assert.equal(await readFile(join(folder, dir, 'absolute'), 'utf8'), 'xxx');
    await nothingOutside();
  });

  it('puts nothing outside of the folder, by no link', async () => {
    const link = (linkpath: string): HeaderData => ({ path: 'link', type: 'SymbolicLink', linkpath });
    const file = { path: 'link/file', type: 'File', size: 3 } as const;
    for (const target of ['..', dir, '../elsewhere'])
      await assert.rejects(unpacked(archive(link(target), file)), /link is no folder/, target);
    await assert.rejects(
      unpacked(archive(link('../elsewhere'), { path: 'link/sub/', type: 'Directory' })),
      /link is no folder/,
    );
    // A file where a link is takes its place.
    await unpacked(archive(link('../outside'), { path: 'link', type: 'File', size: 3 }));
    assert.equal((await lstat(join(folder, 'link'))).isFile(), true);
    // So does a folder, which then is one of its own, in the end too.
    await unpacked(archive(link('../elsewhere'), { path: 'link', type: 'Directory', mode: 0o500 }, file));
    assert.equal(await readFile(join(folder, 'link/file'), 'utf8'), 'xxx');
    assert.equal((await lstat(join(dir, 'elsewhere'))).mode & 0o700, 0o700);
    await assert.rejects(unpacked(archive(link('..'))), /link is a folder/);
    await nothingOutside();
  });

  it('does not follow a link that was there before', async () => {
    await symlink('../elsewhere', join(folder, 'sub'));
    await assert.rejects(unpacked(archive({ path: 'sub/file', type: 'File', size: 1 })), /sub is no folder/);
    await nothingOutside();
  });

  it('makes no devices, pipes or hard links, and no program that runs as somebody else', async () => {
    const path = 'odd';
    for (const type of ['CharacterDevice', 'BlockDevice', 'FIFO'] as const)
      await unpacked(archive({ path, type }));
    await unpacked(archive({ path, type: 'Link', linkpath: '../outside' }));
    assert.deepEqual(await readdir(folder), []);
    assert.equal(notes.length, 4);
    await unpacked(archive({ path: 'program', type: 'File', mode: 0o6755 }));
    assert.equal((await lstat(join(folder, 'program'))).mode & 0o7777, 0o755);
  });

  it('says that one was cut off or is none, and leaves no half of a file', async () => {
    const whole = archive({ path: 'a', type: 'File', size: 5000 });
    await assert.rejects(unpacked(whole.subarray(0, 3000)));
    assert.deepEqual(await readdir(folder), []);
    await assert.rejects(unpacked(whole.subarray(0, whole.length - END.length)), /cut off|Truncated/);
    await assert.rejects(unpacked(Buffer.alloc(4000, 'no')), /Not a tar archive/);
    await assert.rejects(unpacked(Buffer.alloc(0)));
    await unpacked(archive());
    await unpacked(Buffer.concat([whole, Buffer.alloc(1 << 20)]));
    assert.equal((await lstat(join(folder, 'a'))).size, 5000);
  });

  it('leaves nothing open, and no half of a file, when it stops coming', async () => {
    const whole = archive({ path: 'a', type: 'File', size: 300_000 });
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(whole.subarray(0, 200_000));
      throw new Error('the connection broke');
    }
    await assert.rejects(
      unpack(folder, breaking(), () => undefined),
      /the connection broke/,
    );
    assert.deepEqual(await readdir(folder), []);
  });
});
