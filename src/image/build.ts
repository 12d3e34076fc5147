/**
 * Builds an image: root file system, kernel, initramfs. It takes about a minute, most of it installing packages.
 *
 * A build that fails or is interrupted leaves nothing (workshop.ts).
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { compact, ResourceStack, writeFileAtomic } from '../base/index.js';
import {
  builtNow,
  contentDigest,
  findDefined,
  findImage,
  findRecorded,
  IMAGE_FILES,
  imageDir,
} from './catalog.js';
import { DEFAULT_GUEST_DIR, readDefinition, readDefinitionFile, type ImageDefinition } from './definition.js';
import { ImageBuildFailed } from './errors.js';
import { freeName } from './free-name.js';
import { BUILD_TOOLS, checkHost } from './host-tools.js';
import { AGENT_PORT, bootSettings, type BootSettings, type Image, type ImageRecord } from './image.js';
import { recipeDigest, type Folders } from './ingredients.js';
import { kernelPackage } from './kernel-package.js';
import { keptKernelsDir, makeKernel } from './kernel.js';
import { makeRootTree, stageFiles } from './debian/rootfs.js';
import { makeExt4 } from './ext4.js';
import {
  makeWorkFolder,
  orNoRoom,
  putInPlace,
  takeWorkshop,
  untilInterrupted,
  type Progress,
} from './workshop.js';

export interface BuildImageOptions {
  readonly guestDir?: string;
  readonly onProgress?: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Returns the image of that name, building it if it is not there or no longer matches its definition and the guest files. SIGINT and
 * SIGTERM of this process end a build in good order. Throws ImageUnknown, ImageUnusable, ImageBuildFailed or the signal's reason.
 */
export async function buildImage(
  cacheDir: string,
  name: string,
  options: BuildImageOptions = {},
): Promise<Image> {
  const { guestDir = DEFAULT_GUEST_DIR } = options;
  const definition = await readDefinition(name, guestDir);
  const find = (): Promise<Image | undefined> => findImage(cacheDir, name, guestDir);
  return await build({ cacheDir, definition, guestDir, filesDir: guestDir, find }, options);
}

/** As `buildImage`, of a definition that lies anywhere. What it says of memory and the like is written down with the image. */
export async function buildDefinition(
  cacheDir: string,
  file: string,
  options: BuildImageOptions = {},
): Promise<Image> {
  const { guestDir = DEFAULT_GUEST_DIR } = options;
  const path = resolve(file);
  const definition = await readDefinitionFile(path);
  const { name } = definition;
  await freeName(name, { attempt: 'build an image', remedy: `choose another in ${path}` });
  const folders = { guestDir, filesDir: dirname(path) };
  const settings = bootSettings(definition);
  const find = async (): Promise<Image | undefined> => {
    const found = await findDefined(cacheDir, name, await recipeDigest(definition, folders));
    if (found === undefined) return undefined;
    if (!isDeepStrictEqual(found.record.settings, settings))
      await writeRecord(found.dir, {
        ...found.record,
        settings,
        builtAtUnix: await builtNow(cacheDir, name),
      });
    return await findRecorded(cacheDir, name);
  };
  return await build({ cacheDir, definition, ...folders, settings, find }, options);
}

interface BuildInput extends Folders {
  readonly cacheDir: string;
  readonly definition: ImageDefinition;
  /** To be written down. */
  readonly settings?: BootSettings;
  /** One that was made of the same. */
  readonly find: () => Promise<Image | undefined>;
}

function build(input: BuildInput, options: BuildImageOptions): Promise<Image> {
  return orNoRoom(input.cacheDir, () => findOrMake(input, options));
}

async function findOrMake(input: BuildInput, options: BuildImageOptions): Promise<Image> {
  const { cacheDir, definition, find } = input;
  const { onProgress = () => undefined } = options;
  const { name } = definition;
  const built = await find();
  if (built !== undefined) return built;

  await using undo = new ResourceStack();
  const signal = untilInterrupted(undo, options.signal);
  const codename = await checkHost('build an image', BUILD_TOOLS, { onProgress, signal });
  const images = join(cacheDir, 'images');
  const debsDir = join(cacheDir, 'debs');
  await mkdir(debsDir, { recursive: true });
  await takeWorkshop(images, undo, onProgress, signal);
  const builtMeanwhile = await find();
  if (builtMeanwhile !== undefined) return builtMeanwhile;

  const workDir = await makeWorkFolder(images, name, undo);
  const made = join(workDir, 'image');
  const recipe = await recipeDigest(definition, input);
  const how = { recipe, codename, workDir, debsDir, made, onProgress, signal };
  const digest = await makeImage({ ...input, ...how });
  await putInPlace(made, imageDir(cacheDir, name, digest));
  const image = await find();
  if (image === undefined) throw new ImageBuildFailed(`The guest's files changed while "${name}" was built`);
  return image;
}

interface MakeImageInput extends BuildInput {
  readonly recipe: string;
  readonly codename: string;
  readonly workDir: string;
  readonly debsDir: string;
  /** Becomes the image's folder. */
  readonly made: string;
  readonly onProgress: Progress;
  readonly signal: AbortSignal;
}

/** Returns the digest of what was made. */
async function makeImage(input: MakeImageInput): Promise<string> {
  const { definition, settings, recipe, guestDir, filesDir } = input;
  const { codename, workDir, debsDir, made, onProgress, signal } = input;
  const stageDir = join(workDir, 'stage');
  await stageFiles({ definition, guestDir, filesDir, stageDir });

  onProgress(`Installing Debian ${codename} with ${definition.packages.join(', ')}`);
  const rootDir = join(workDir, 'root');
  const { packages, rootfsMiB } = definition;
  await makeRootTree({ codename, packages, guestDir, stageDir, debsDir, workDir, rootDir, signal });

  onProgress('Making kernel and modules');
  const debPath = await kernelPackage({ codename, debsDir, workDir, refresh: true, onProgress, signal });
  const keptDir = keptKernelsDir(debsDir);
  const kernelRelease = await makeKernel({ debPath, keptDir, workDir, imageDir: made, signal });

  onProgress('Writing the root file system');
  const rootfsPath = join(made, IMAGE_FILES.rootfs);
  await makeExt4({ rootDir, path: rootfsPath, rootfsMiB, recipe, signal });
  const record: ImageRecord = {
    format: 2,
    name: definition.name,
    recipe,
    digest: await contentDigest(made, signal),
    rootfsBytes: (await stat(rootfsPath)).size,
    agentPort: AGENT_PORT,
    kernelRelease,
    debianCodename: codename,
    builtAtUnix: await builtNow(input.cacheDir, definition.name),
    ...compact({ settings }),
  };
  await writeRecord(made, record);
  return record.digest;
}

/** Readable for every user, as the image is. */
function writeRecord(dir: string, record: ImageRecord): Promise<void> {
  return writeFileAtomic(join(dir, 'image.json'), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
}
