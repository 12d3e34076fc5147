import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { execa } from 'execa';
import { makeKernel } from './kernel.js';

const RELEASE = '6.1.0-0-test-amd64';
const BUILT_IN = ['virtio_pci', 'virtio_blk', 'ext4', 'virtio_net', 'tcp_diag'];

/** A folder, and in it packages of kernels with every module built in. */
async function packages(t: TestContext, ...contents: string[]): Promise<{ dir: string; debs: string[] }> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-kernel-'));
  t.after(() => rm(dir, { recursive: true }));
  const debs = contents.map((_, index) => join(dir, `${index}.deb`));
  for (const [index, content] of contents.entries()) {
    const tree = join(dir, `tree-${index}`);
    const modules = join(tree, 'lib/modules', RELEASE);
    for (const folder of [join(tree, 'boot'), join(tree, 'DEBIAN'), join(modules, 'kernel')])
      await mkdir(folder, { recursive: true });
    await writeFile(join(tree, 'boot', `vmlinuz-${RELEASE}`), content);
    await writeFile(join(modules, 'modules.builtin'), BUILT_IN.map((name) => `kernel/${name}.ko\n`).join(''));
    const control = 'Package: k\nVersion: 1\nArchitecture: all\nMaintainer: n <n@n>\nDescription: k\n';
    await writeFile(join(tree, 'DEBIAN/control'), control);
    await execa('dpkg-deb', ['--build', tree, debs[index] ?? '']);
  }
  return { dir, debs };
}

it('makeKernel() unpacks a package once, and takes no other for it', async (t) => {
  const { dir, debs } = await packages(t, 'one', 'two');
  const keptDir = join(dir, 'kept');
  const make = async (index: number, workDir: string): Promise<string[]> => {
    const imageDir = join(dir, 'image');
    const release = await makeKernel({ debPath: debs[index] ?? '', keptDir, workDir, imageDir });
    return [release, await readFile(join(imageDir, 'vmlinuz'), 'utf8')];
  };
  assert.deepEqual(await make(0, join(dir, 'tree-0')), [RELEASE, 'one']);
  // Where nothing can be unpacked any more.
  assert.deepEqual(await make(0, '/nowhere'), [RELEASE, 'one']);
  await assert.rejects(make(1, '/nowhere'), { name: 'ImageBuildFailed' });
  assert.deepEqual(await make(1, join(dir, 'tree-1')), [RELEASE, 'two']);
  assert.equal((await readdir(keptDir)).length, 2);
});

it('makeKernel() leaves nothing half made for the next to take', async (t) => {
  const { dir, debs } = await packages(t, 'one');
  const keptDir = join(dir, 'kept');
  const input = {
    debPath: debs[0] ?? '',
    keptDir,
    workDir: join(dir, 'tree-0'),
    imageDir: join(dir, 'image'),
  };
  await Promise.all([makeKernel(input), makeKernel({ ...input, imageDir: join(dir, 'another') })]);
  for (const image of ['image', 'another'])
    assert.equal(await readFile(join(dir, image, 'vmlinuz'), 'utf8'), 'one');
  assert.equal((await readdir(keptDir)).length, 1);
});
