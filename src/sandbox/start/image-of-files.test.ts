import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isBoughError } from '../../contract/index.js';
import { imageOfFiles } from './image-of-files.js';

const NOBODY = 65_534;

describe('imageOfFiles()', () => {
  let dir = '';
  let [kernel, rootfs] = ['', ''];
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-files-'));
    await chmod(dir, 0o755);
    [kernel, rootfs] = [join(dir, 'kernel'), join(dir, 'rootfs')];
    for (const path of [kernel, rootfs]) await writeFile(path, path);
  });
  after(() => rm(dir, { recursive: true }));

  const refusedField = async (files: Parameters<typeof imageOfFiles>[0]): Promise<unknown> => {
    try {
      await imageOfFiles(files);
      return 'nothing';
    } catch (error) {
      assert(isBoughError(error) && error.code === 'invalid_request', String(error));
      return error.details?.['field'];
    }
  };

  it('names a file that is not there, or none', async () => {
    assert.equal(await refusedField({ kernel, rootfs: join(dir, 'absent') }), 'rootfs');
    assert.equal(await refusedField({ kernel: dir, rootfs }), 'kernel');
    assert.equal(await refusedField({ kernel, rootfs, initrd: join(kernel, 'x') }), 'initrd');
  });

  it('follows links, as those in /boot are', async () => {
    const link = join(dir, 'vmlinuz');
    await symlink('kernel', link);
    assert.deepEqual(await imageOfFiles({ kernel: link, rootfs }), await imageOfFiles({ kernel, rootfs }));
  });

  it('names a file that this user may not read', async () => {
    await chmod(rootfs, 0);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      assert.equal(await refusedField({ kernel, rootfs }), 'rootfs');
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});
