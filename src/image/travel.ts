/**
 * An image that goes to another host in parts, with a snapshot whose first disk is its root file system: kernel, modules, and its record
 * with all there is to know of how it is booted. Our own programs do not travel: they are those of the host that boots it.
 *
 * Its digest is of its bytes, so what arrives is the very image or it is refused, whoever has sent it.
 */
import { join } from 'node:path';
import { compact } from '../base/index.js';
import { contentDigest, findImage, IMAGE_FILES, imageOf, readRecord } from './catalog.js';
import { readDefinition } from './definition.js';
import { ImageUnusable } from './errors.js';
import { bootSettings, imageRecordSchema, type Image, type ImageRecord } from './image.js';

/** The part of an image that is in no snapshot of it. */
export interface TravellingImage {
  readonly kernelPath: string;
  readonly modulesPath: string;
  readonly record: ImageRecord & Readonly<Record<string, unknown>>;
}

/** Where `fromTravel` looks for its files. */
export const imageFilesIn = (dir: string): Record<'kernelPath' | 'modulesPath' | 'rootfsPath', string> => ({
  kernelPath: join(dir, IMAGE_FILES.kernel),
  modulesPath: join(dir, IMAGE_FILES.modules),
  rootfsPath: join(dir, IMAGE_FILES.rootfs),
});

interface Which {
  readonly name: string;
  readonly digest: string;
}

/** Undefined where the image of that digest is not here any more, or cannot be used. */
export async function forTravel(
  cacheDir: string,
  { name, digest }: Which,
): Promise<TravellingImage | undefined> {
  try {
    const image = await findImage(cacheDir, name);
    const record = image && (await readRecord(image.dir));
    if (image?.digest !== digest || record === undefined) return undefined;
    const isDefinedHere = record.settings === undefined && record.origin === undefined;
    const settings = isDefinedHere ? bootSettings(await readDefinition(name)) : record.settings;
    const { kernelPath, modulesPath } = imageFilesIn(image.dir);
    return { kernelPath, modulesPath, record: { ...record, ...compact({ settings }) } };
  } catch {
    return undefined;
  }
}

/** The image whose files were put into `dir`. Throws ImageUnusable for another one. */
export async function fromTravel(
  dir: string,
  said: unknown,
  { name, digest }: Which,
  signal?: AbortSignal,
): Promise<Image> {
  const { success, data: record } = imageRecordSchema.safeParse(said);
  const refuse = (problem: string): ImageUnusable =>
    new ImageUnusable(`Cannot use the image "${name}" that came with it: ${problem}`);
  if (!success) throw refuse('what is said of it is damaged');
  const found = await contentDigest(dir, signal);
  if (found !== digest) throw refuse(`its digest is ${found.slice(0, 12)}, not ${digest.slice(0, 12)}`);
  return await imageOf({ dir, record: { ...record, name, digest } });
}
