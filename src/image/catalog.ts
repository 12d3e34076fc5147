/**
 * Built images in the cache folder: `<cacheDir>/images/<name>-<first 12 digits of the digest>/`.
 *
 * Two digests tell two things apart. The *digest* is of the content: two images of one digest are the same bytes on whatever host,
 * and one that was built again from other packages has another. The *recipe* is of what an image is made from: an image whose recipe
 * is no longer that of its definition is out of date. Memory, vCPUs and command line are no part of either; they are the definition's
 * at the time an image is booted. A folder appears by rename when it is complete; image.json is its proof.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errorCode } from '../base/index.js';
import { bootArchive } from './boot-archive.js';
import { DEFAULT_GUEST_DIR, definitionNames, readDefinition, type ImageDefinition } from './definition.js';
import { ImageUnusable } from './errors.js';
import { imageRecordSchema, type Image, type ImageRecord } from './image.js';
import { recipeDigest } from './ingredients.js';

const DIGEST_DIGITS_IN_NAME = 12;

/** The files of an image besides image.json, in the order of its digest. */
export const IMAGE_FILES = { kernel: 'vmlinuz', modules: 'modules.cpio', rootfs: 'rootfs.ext4' } as const;

/**
 * The image of that name that was made from what its definition and the guest files are now, the newest if it was built more than
 * once; undefined when there is none. Throws ImageUnknown, and ImageUnusable where the only one is damaged.
 */
export async function findImage(
  cacheDir: string,
  name: string,
  guestDir = DEFAULT_GUEST_DIR,
): Promise<Image | undefined> {
  const definition = await readDefinition(name, guestDir);
  const recipe = await recipeDigest(definition, guestDir);
  const images = join(cacheDir, 'images');
  const dirs = (await folderNames(images)).filter((folder) => folder.startsWith(`${name}-`));
  const built: { readonly dir: string; readonly record: ImageRecord }[] = [];
  let damaged: ImageUnusable | undefined;
  for (const dir of dirs.map((folder) => join(images, folder))) {
    try {
      const record = await readRecord(dir);
      if (record?.name === name && record.recipe === recipe) built.push({ dir, record });
    } catch (error) {
      if (!(error instanceof ImageUnusable)) throw error;
      if (isFolderOf(name, dir)) damaged = error;
    }
  }
  const [newest] = built.sort((a, b) => b.record.builtAtUnix - a.record.builtAtUnix);
  if (newest === undefined && damaged !== undefined) throw damaged;
  return newest && imageOf(newest.dir, newest.record, definition);
}

/** All images that are built and up to date, by name; those that are damaged are named where they are asked for. */
export async function listImages(cacheDir: string, guestDir = DEFAULT_GUEST_DIR): Promise<Image[]> {
  const found = await Promise.all(
    (await definitionNames(guestDir)).map((name) =>
      findImage(cacheDir, name, guestDir).catch((error: unknown) => {
        if (error instanceof ImageUnusable) return undefined;
        throw error;
      }),
    ),
  );
  return found.filter((image) => image !== undefined);
}

/** Without its record, a folder's name is all that tells of which image it is. */
function isFolderOf(name: string, dir: string): boolean {
  const digits = basename(dir).slice(name.length + 1);
  return digits.length === DIGEST_DIGITS_IN_NAME && /^[0-9a-f]+$/.test(digits);
}

export function imageDir(cacheDir: string, name: string, digest: string): string {
  return join(cacheDir, 'images', `${name}-${digest.slice(0, DIGEST_DIGITS_IN_NAME)}`);
}

/** SHA-256 in hex over the SHA-256 of each file, as they lie in `dir`. */
export async function contentDigest(dir: string, signal?: AbortSignal): Promise<string> {
  const digests = Object.values(IMAGE_FILES).map((file) => fileSha256(join(dir, file), signal));
  return createHash('sha256')
    .update(JSON.stringify(await Promise.all(digests)))
    .digest('hex');
}

async function fileSha256(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const bytes = createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) });
  for await (const chunk of bytes) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function folderNames(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** What image.json says; undefined when there is none, or one of an earlier format. Throws ImageUnusable when it is damaged. */
async function readRecord(dir: string): Promise<ImageRecord | undefined> {
  let text: string;
  try {
    text = await readFile(join(dir, 'image.json'), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const json = JSON.parse(text) as { format?: unknown };
    return json.format === 1 ? undefined : imageRecordSchema.parse(json);
  } catch (cause) {
    const problem = 'image.json is damaged; remove the folder';
    throw new ImageUnusable(`Cannot use the image in ${dir}: ${problem}`, { cause });
  }
}

async function imageOf(dir: string, record: ImageRecord, definition: ImageDefinition): Promise<Image> {
  const { name, digest, rootfsBytes, agentPort } = record;
  const { memoryMiB, vcpus, randomAddresses } = definition;
  return {
    ...{ name, digest, dir, rootfsBytes, memoryMiB, vcpus, agentPort, randomAddresses },
    kernelPath: join(dir, IMAGE_FILES.kernel),
    initrdPath: await bootArchive(dir, join(dir, IMAGE_FILES.modules), definition),
    rootfsPath: join(dir, IMAGE_FILES.rootfs),
  };
}
