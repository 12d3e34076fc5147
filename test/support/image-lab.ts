/** A cache folder of a test's own to import images into, with the kernels that this host has fetched already. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { execa } from 'execa';
import { loadConfig } from '../../src/daemon/config.js';
import type { Image } from '../../src/image/index.js';
import { missingTools, IMPORT_TOOLS, missingWords } from '../../src/image/host-tools.js';

/** A shell and more in one file that needs no library, of Debian's busybox-static. */
export const BUSYBOX = '/bin/busybox';

/** Why images cannot be imported here, or false. */
export async function skipImport(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'importing images needs root';
  const tool = (program: string) => ({ program, debianPackage: program, purpose: 'for tests' });
  const missing = await missingTools([...IMPORT_TOOLS, tool('docker-registry'), tool('busybox')]);
  return missing.length > 0 && missingWords(missing);
}

export interface ImageLab {
  readonly dir: string;
  readonly cacheDir: string;
}

export async function imageLab(t: Pick<TestContext, 'after'>): Promise<ImageLab> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-import-'));
  t.after(() => rm(dir, { recursive: true }));
  const cacheDir = join(dir, 'cache');
  const debs = join(loadConfig({}, process.env).cacheDir, 'debs');
  await mkdir(debs, { recursive: true });
  await mkdir(cacheDir);
  await symlink(debs, join(cacheDir, 'debs'));
  return { dir, cacheDir };
}

/** What is in the image's disk, as debugfs(8) says it. */
export async function onDisk(image: Image, request: string): Promise<string> {
  const { stdout } = await execa('debugfs', ['-R', request, image.rootfsPath]);
  return stdout;
}

/** Folders of images and of unfinished ones; locks are no traces. */
export async function imageFolders(cacheDir: string): Promise<string[]> {
  return (await readdir(join(cacheDir, 'images')).catch(() => [])).filter((name) => name !== '.lock');
}

/** Rejects with a message of that kind, and leaves neither an image nor a half of one. */
export async function refused(importing: Promise<unknown>, cacheDir: string, says: RegExp): Promise<void> {
  await assert.rejects(importing, (error: Error) => {
    assert.equal(error.name, 'ImageBuildFailed', String(error));
    assert.match(error.message, says);
    return true;
  });
  assert.deepEqual(await imageFolders(cacheDir), []);
}
