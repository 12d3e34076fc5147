/** Packages on their way between the cache and a build, whatever file systems these are on. */
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { execa } from 'execa';
import { DEFAULT_GUEST_DIR } from '../definition.js';

const HOOK = join(DEFAULT_GUEST_DIR, 'build/rootfs-hook.sh');
/** A file system besides that of temporary files. */
const OTHER_ROOT = '/dev/shm';
const ARCHIVES = 'var/cache/apt/archives';

async function scratchDir(t: TestContext, root: string): Promise<string> {
  const dir = await mkdtemp(join(root, 'bough-hook-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

/** Programs of apt's names, which give one kernel. */
async function fakeApt(dir: string): Promise<string> {
  await mkdir(dir);
  await writeFile(join(dir, 'apt-cache'), '#!/bin/sh\necho "  Depends: linux-image-6.1"\n');
  await writeFile(join(dir, 'apt-get'), '#!/bin/sh\necho kernel > linux-image-6.1_1_amd64.deb\n');
  for (const name of await readdir(dir)) await chmod(join(dir, name), 0o755);
  return dir;
}

describe('rootfs-hook.sh', () => {
  for (const [where, cacheRoot] of [
    ['one file system', tmpdir()],
    ['two file systems', OTHER_ROOT],
  ] as const)
    it(`offers the packages of earlier builds and keeps those of this one, on ${where}`, async (t) => {
      const [work, debs] = [await scratchDir(t, tmpdir()), await scratchDir(t, cacheRoot)];
      const areApart = (await stat(work)).dev !== (await stat(debs)).dev;
      if (areApart !== (cacheRoot === OTHER_ROOT)) {
        t.skip(`${OTHER_ROOT} is no file system of its own`);
        return;
      }
      const root = join(work, 'root');
      const bin = await fakeApt(join(work, 'bin'));
      const run = (phase: string): Promise<unknown> =>
        execa(HOOK, [phase, root], {
          env: {
            PATH: `${bin}:${process.env['PATH'] ?? ''}`,
            ...{ BOUGH_DEBS: debs, BOUGH_STAGE: join(work, 'stage'), BOUGH_KERNEL_DIR: work },
            ...{ BOUGH_KERNEL_PACKAGE: 'linux-image', MMDEBSTRAP_APT_CONFIG: '/dev/null' },
          },
        });
      await mkdir(join(work, 'stage'));
      await writeFile(join(debs, 'known_1.deb'), 'known');
      await run('setup');
      assert.equal(await readFile(join(root, ARCHIVES, 'known_1.deb'), 'utf8'), 'known');

      await writeFile(join(root, ARCHIVES, 'new_1.deb'), 'new');
      await run('customize');
      assert.deepEqual((await readdir(debs)).sort(), [
        'known_1.deb',
        'linux-image-6.1_1_amd64.deb',
        'new_1.deb',
      ]);
      assert.equal(await readFile(join(debs, 'new_1.deb'), 'utf8'), 'new');
      assert.equal(await readFile(join(work, 'kernel.deb'), 'utf8'), 'kernel\n');
    });
});
