/** Packages on their way between the cache and a build, whatever file systems these are on. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
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
      const run = (phase: string): Promise<unknown> =>
        execa(HOOK, [phase, root], {
          env: { BOUGH_DEBS: debs, BOUGH_STAGE: join(work, 'stage') },
        });
      await mkdir(join(work, 'stage'));
      await writeFile(join(debs, 'known_1.deb'), 'known');
      await run('setup');
      assert.equal(await readFile(join(root, ARCHIVES, 'known_1.deb'), 'utf8'), 'known');

      await writeFile(join(root, ARCHIVES, 'new_1.deb'), 'new');
      await run('customize');
      assert.deepEqual((await readdir(debs)).sort(), ['known_1.deb', 'new_1.deb']);
      assert.equal(await readFile(join(debs, 'new_1.deb'), 'utf8'), 'new');
    });
});
