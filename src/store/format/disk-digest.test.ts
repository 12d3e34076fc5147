import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { MiB } from '../../base/index.js';
import { copyDisk, diskDigest, kindOfDigest } from './disk-digest.js';

const BLOCK = 65_536;
/** Enough that holes are asked for and not read. */
const LENGTH = 96 * MiB + 5000;
/** Not where blocks begin, next to each other in one block, and at the very end. */
const WRITES: readonly (readonly [at: number, text: string])[] = [
  [0, 'first'],
  [3 * BLOCK - 2, 'over a border'],
  [40 * MiB + 4096, 'far'],
  [40 * MiB + 20_000, 'near the last'],
  [LENGTH - 3, 'end'],
];

/** As docs/internals/snapshot-format.md describes it. */
function digestOf(bytes: Buffer): string {
  const number = (value: number): Buffer => {
    const encoded = Buffer.alloc(8);
    encoded.writeBigUInt64LE(BigInt(value));
    return encoded;
  };
  const hash = createHash('sha256').update(number(bytes.length));
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK);
    if (block.some((byte) => byte !== 0)) hash.update(number(at)).update(number(block.length)).update(block);
  }
  return `sparse:${hash.digest('hex')}`;
}

describe('the digest of a disk file', () => {
  let folder: string;
  let path: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bough-digest-'));
    path = join(folder, 'sparse');
    await writeSparse(path);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function writeSparse(to: string): Promise<void> {
    const file = await open(to, 'wx');
    await file.truncate(LENGTH);
    for (const [at, text] of WRITES) await file.write(text, at);
    await file.close();
  }

  it('is that of the bytes, whether zeros are written or holes', async () => {
    const bytes = await readFile(path);
    const written = join(folder, 'written');
    await writeFile(written, bytes);
    assert((await stat(path)).blocks < (await stat(written)).blocks);
    assert.equal(await diskDigest(path, 'sparse'), digestOf(bytes));
    assert.equal(await diskDigest(written, 'sparse'), digestOf(bytes));
    await rm(written);
  });

  it('changes with any byte, in a hole too, and with the length', async () => {
    const whole = await diskDigest(path, 'sparse');
    for (const at of [1, BLOCK, 20 * MiB, 40 * MiB + 4096, LENGTH - 1]) {
      const changed = join(folder, 'changed');
      await writeSparse(changed);
      const file = await open(changed, 'r+');
      await file.write('!', at);
      await file.close();
      assert.notEqual(await diskDigest(changed, 'sparse'), whole, `at ${at}`);
      await rm(changed);
    }
    for (const length of [LENGTH + 1, LENGTH + BLOCK]) {
      const longer = join(folder, 'longer');
      await writeSparse(longer);
      const file = await open(longer, 'r+');
      await file.truncate(length);
      await file.close();
      assert.notEqual(await diskDigest(longer, 'sparse'), whole);
      await rm(longer);
    }
  });

  it('of a small file and of an empty one is made the same way', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('small'), Buffer.alloc(BLOCK + 1, 7)]) {
      const small = join(folder, 'small');
      await writeFile(small, bytes);
      assert.equal(await diskDigest(small, 'sparse'), digestOf(bytes));
      await rm(small);
    }
  });

  it('of version 1 is plain sha256', async () => {
    const plain = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    assert.equal(kindOfDigest(plain), 'plain');
    assert.equal(await diskDigest(path, kindOfDigest(plain)), plain);
  });

  it('is made while copying, and the copy has the holes', async () => {
    for (const kind of ['sparse', 'plain'] as const) {
      const copy = join(folder, 'copy');
      assert.equal(await copyDisk(path, { path: copy }, kind), await diskDigest(path, kind));
      assert((await readFile(copy)).equals(await readFile(path)));
      assert((await stat(copy)).blocks * 512 < MiB);
      await rm(copy);
    }
  });

  it('stops when it is told to, and does not follow a symbolic link', async () => {
    await assert.rejects(diskDigest(path, 'sparse', AbortSignal.abort(new Error('enough'))), /enough/);
    await assert.rejects(diskDigest('/proc/self/exe', 'sparse'), /ELOOP/);
  });
});
