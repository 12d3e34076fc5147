/** An image that nobody built: what is found of one, of a definition that is not of the checkout. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { contentDigest, IMAGE_FILES, imageDir } from '../../src/image/catalog.js';
import type { ImageRecord } from '../../src/image/image.js';

const ROOTFS_BYTES = 1 << 20;

/** Returns its digest. */
export async function plantImage(cacheDir: string, name: string, seed = name): Promise<string> {
  const dir = join(cacheDir, 'images/.planting');
  await mkdir(dir, { recursive: true });
  for (const file of [IMAGE_FILES.kernel, IMAGE_FILES.modules]) await writeFile(join(dir, file), file);
  await writeFile(join(dir, IMAGE_FILES.rootfs), Buffer.alloc(ROOTFS_BYTES, seed));
  const digest = await contentDigest(dir);
  const record: ImageRecord = {
    ...{ format: 2, name, digest, recipe: digest, rootfsBytes: ROOTFS_BYTES, agentPort: 7000 },
    ...{ kernelRelease: 'k', debianCodename: 'x', builtAtUnix: 1 },
    settings: { interpreter: null, memoryMiB: 128, vcpus: 1, randomAddresses: false },
  };
  await writeFile(join(dir, 'image.json'), JSON.stringify(record));
  await rename(dir, imageDir(cacheDir, name, digest));
  return digest;
}
