/**
 * Built images in the cache folder: `<cacheDir>/images/<name>-<first 12 digits of the digest>/`.
 *
 * Two digests tell two things apart. The *digest* is of the content: two images of one digest are the same bytes on whatever host,
 * and one that was built again from other packages has another. The *recipe* is of what an image is made from: an image whose recipe
 * is no longer that of its definition is out of date. Memory, vCPUs and command line are no part of either; they are the definition's
 * at the time an image is booted, or what was written down of one that is not of this checkout. A folder appears by rename when it is complete; image.json is its proof.
 */
import { createHash } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compact, errorCode, sparseDigest, unixSeconds } from '../base/index.js';
import { bootArchive } from './boot-archive.js';
import { DEFAULT_GUEST_DIR, definitionNames, readDefinition, type ImageDefinition } from './definition.js';
import { ImageUnknown, ImageUnusable } from './errors.js';
import { imageRecordSchema, type Image, type ImageRecord, type ImageService, type Origin } from './image.js';
import { recipeDigest } from './ingredients.js';

const DIGEST_DIGITS_IN_NAME = 12;

const DEFAULT_MEMORY_MIB = 1024;

/** The files of an image besides image.json, in the order of its digest. */
export const IMAGE_FILES = { kernel: 'vmlinuz', modules: 'modules.cpio', rootfs: 'rootfs.ext4' } as const;

/**
 * The image of that name: the newest that was made from what its definition and the guest files are now, or else the newest that was
 * imported under it, or made from a definition that lies elsewhere. Undefined when there is none. Throws ImageUnknown, and ImageUnusable where the only one is damaged.
 */
export async function findImage(
  cacheDir: string,
  name: string,
  guestDir = DEFAULT_GUEST_DIR,
): Promise<Image | undefined> {
  let definition: ImageDefinition;
  try {
    definition = await readDefinition(name, guestDir);
  } catch (error) {
    const recorded = error instanceof ImageUnknown ? await findRecorded(cacheDir, name) : undefined;
    if (recorded === undefined) throw error;
    return recorded;
  }
  const recipe = await recipeDigest(definition, { guestDir, filesDir: guestDir });
  const newest = await newestOf(cacheDir, name, (record) => record.recipe === recipe);
  return newest && imageOf(newest, definition);
}

/** The newest image of that name whose record says all there is to know of it. */
export async function findRecorded(cacheDir: string, name: string): Promise<Image | undefined> {
  const newest = await newestOf(cacheDir, name, isComplete);
  return newest && imageOf(newest);
}

/** Whether there are images of that name, of whichever recipe. */
export async function wasBuilt(cacheDir: string, name: string): Promise<boolean> {
  return (await newestOf(cacheDir, name, () => true)) !== undefined;
}

/** Now, or later than every image of that name was made: the newest is the one that is found, also of two in a second. */
export async function builtNow(cacheDir: string, name: string): Promise<number> {
  const newest = await newestOf(cacheDir, name, () => true).catch(() => undefined);
  return Math.max(unixSeconds(), (newest?.record.builtAtUnix ?? 0) + 1);
}

const isComplete = ({ origin, settings }: ImageRecord): boolean => (origin ?? settings) !== undefined;

/** The newest image of that recipe that was made from a definition which lies elsewhere. */
export function findDefined(cacheDir: string, name: string, recipe: string): Promise<Found | undefined> {
  return newestOf(cacheDir, name, (record) => record.recipe === recipe && record.settings !== undefined);
}

/** All images that are built and up to date, and those that need no definition here, by name; the damaged ones are named where they are asked for. */
export async function listImages(cacheDir: string, guestDir = DEFAULT_GUEST_DIR): Promise<Image[]> {
  const names = new Set([...(await definitionNames(guestDir)), ...(await recordedNames(cacheDir))]);
  const found = await Promise.all(
    [...names].sort().map((name) =>
      findImage(cacheDir, name, guestDir).catch((error: unknown) => {
        if (error instanceof ImageUnusable) return undefined;
        throw error;
      }),
    ),
  );
  return found.filter((image) => image !== undefined);
}

export interface Found {
  readonly dir: string;
  readonly record: ImageRecord;
}

async function newestOf(
  cacheDir: string,
  name: string,
  wanted: (record: ImageRecord) => boolean,
): Promise<Found | undefined> {
  const found: Found[] = [];
  let damaged: ImageUnusable | undefined;
  for (const dir of await imageFolders(cacheDir, `${name}-`)) {
    try {
      const record = await readRecord(dir);
      if (record?.name === name && wanted(record)) found.push({ dir, record });
    } catch (error) {
      if (!(error instanceof ImageUnusable)) throw error;
      if (isFolderOf(name, dir)) damaged = error;
    }
  }
  const [newest] = found.sort((a, b) => b.record.builtAtUnix - a.record.builtAtUnix);
  if (newest === undefined && damaged !== undefined) throw damaged;
  return newest;
}

async function recordedNames(cacheDir: string): Promise<string[]> {
  const names = (await imageFolders(cacheDir)).map(async (dir) => {
    const record = await readRecord(dir).catch(() => undefined);
    return record !== undefined && isComplete(record) ? [record.name] : [];
  });
  return (await Promise.all(names)).flat();
}

/** Folders of images, whole ones, of whatever name. */
export async function imageFolders(cacheDir: string, prefix = ''): Promise<string[]> {
  const images = join(cacheDir, 'images');
  const names = await folderNames(images);
  return names
    .filter((name) => name.startsWith(prefix) && !name.startsWith('.'))
    .map((name) => join(images, name));
}

/** Without its record, a folder's name is all that tells of which image it is. */
function isFolderOf(name: string, dir: string): boolean {
  const digits = basename(dir).slice(name.length + 1);
  return digits.length === DIGEST_DIGITS_IN_NAME && /^[0-9a-f]+$/.test(digits);
}

export function imageDir(cacheDir: string, name: string, digest: string): string {
  return join(cacheDir, 'images', `${name}-${digest.slice(0, DIGEST_DIGITS_IN_NAME)}`);
}

/** SHA-256 in hex over the digest of each file, as they lie in `dir`. */
export async function contentDigest(dir: string, signal?: AbortSignal): Promise<string> {
  const digests = Object.values(IMAGE_FILES).map((file) => digestOf(join(dir, file), signal));
  return createHash('sha256')
    .update(JSON.stringify(await Promise.all(digests)))
    .digest('hex');
}

async function digestOf(path: string, signal?: AbortSignal): Promise<string> {
  const file = await open(path);
  try {
    return await sparseDigest(file, path, { signal });
  } finally {
    await file.close();
  }
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
export async function readRecord(dir: string): Promise<ImageRecord | undefined> {
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

/** How it is booted; `settings` are its definition's, where there is one here. */
export async function imageOf({ dir, record }: Found, settings = record.settings): Promise<Image> {
  const { name, digest, rootfsBytes, agentPort, origin } = record;
  const { vcpus = 1, randomAddresses = false, interpreter = null } = settings ?? {};
  const memoryMiB = settings?.memoryMiB ?? record.memoryMiB ?? DEFAULT_MEMORY_MIB;
  const service = settings?.service ?? (origin && serviceOf(origin));
  const modules = join(dir, IMAGE_FILES.modules);
  return {
    ...{ name, digest, dir, rootfsBytes, memoryMiB, vcpus, agentPort, randomAddresses },
    ...compact({ origin, service }),
    kernelPath: join(dir, IMAGE_FILES.kernel),
    initrdPath: await bootArchive(dir, modules, { interpreter, imported: origin?.defaults }),
    rootfsPath: join(dir, IMAGE_FILES.rootfs),
  };
}

function serviceOf({ defaults: { command, ports, healthcheck } }: Origin): ImageService {
  return { command, ports, ...compact({ healthcheck }) };
}
