/**
 * Built images in the cache folder: `<cacheDir>/images/<name>-<first 12 digits of the digest>/`.
 *
 * The digest covers the definition, every file below guest/ and the builder's own version. So a folder with the right name is the
 * right image, an unchanged image is found without building, and a changed agent can never meet an old image unnoticed. A folder
 * appears by rename when it is complete; image.json is its proof.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { errorCode, TEMPORARY_PREFIX } from '../base/index.js';
import { DEFAULT_GUEST_DIR, definitionNames, readDefinition, type ImageDefinition } from './definition.js';
import { ImageUnusable } from './errors.js';
import { AGENT_PORT, imageRecordSchema, KERNEL_CMDLINE, type Image } from './image.js';

/** Raise it when the builder makes something else of the same input. */
const BUILDER_VERSION = 1;

const DIGEST_DIGITS_IN_NAME = 12;

/** The image of that name as its definition and the guest files are now; undefined when it has not been built. Throws ImageUnknown. */
export async function findImage(
  cacheDir: string,
  name: string,
  guestDir = DEFAULT_GUEST_DIR,
): Promise<Image | undefined> {
  const digest = await imageDigest(await readDefinition(name, guestDir), guestDir);
  return readImage(imageDir(cacheDir, name, digest));
}

/** All images that are built and up to date, by name. */
export async function listImages(cacheDir: string, guestDir = DEFAULT_GUEST_DIR): Promise<Image[]> {
  const found = await Promise.all(
    (await definitionNames(guestDir)).map((name) => findImage(cacheDir, name, guestDir)),
  );
  return found.filter((image) => image !== undefined);
}

export function imageDir(cacheDir: string, name: string, digest: string): string {
  return join(cacheDir, 'images', `${name}-${digest.slice(0, DIGEST_DIGITS_IN_NAME)}`);
}

/** Reads a built image; undefined when there is none, ImageUnusable when image.json is damaged. */
export async function readImage(dir: string): Promise<Image | undefined> {
  let text: string;
  try {
    text = await readFile(join(dir, 'image.json'), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { name, digest, rootfsBytes, memoryMiB, vcpus, agentPort, kernelCmdline } = imageRecordSchema.parse(
      JSON.parse(text),
    );
    return {
      ...{ name, digest, dir, rootfsBytes, memoryMiB, vcpus, agentPort, kernelCmdline },
      kernelPath: join(dir, 'vmlinuz'),
      initrdPath: join(dir, 'initrd'),
      rootfsPath: join(dir, 'rootfs.ext4'),
    };
  } catch (cause) {
    throw new ImageUnusable(`Cannot use the image in ${dir}: image.json is damaged; remove the folder`, {
      cause,
    });
  }
}

/** SHA-256 in hex over everything an image is made from, except Debian's archive, which moves on by itself. */
export async function imageDigest(definition: ImageDefinition, guestDir: string): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([BUILDER_VERSION, AGENT_PORT, KERNEL_CMDLINE, definition]));
  for (const path of await guestFiles(guestDir)) {
    const content = await readFile(path);
    hash.update(JSON.stringify([relative(guestDir, path), content.length]));
    hash.update(content);
  }
  return hash.digest('hex');
}

/** Every file that can get into an image or decides how it is made; other images' definitions cannot. */
async function guestFiles(guestDir: string): Promise<string[]> {
  const entries = await readdir(guestDir, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith(TEMPORARY_PREFIX))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith(join(guestDir, 'images/')) && !path.includes('/__pycache__/'))
    .sort();
}
