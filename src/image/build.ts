/**
 * Builds an image: root file system, kernel, initramfs. It takes about a minute, most of it installing packages.
 *
 * A build that fails or is interrupted leaves nothing (workshop.ts).
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ResourceStack, unixSeconds, writeFileAtomic } from '../base/index.js';
import { contentDigest, findImage, IMAGE_FILES, imageDir } from './catalog.js';
import { DEFAULT_GUEST_DIR, readDefinition, type ImageDefinition } from './definition.js';
import { ImageBuildFailed } from './errors.js';
import { BUILD_TOOLS, checkHost } from './host-tools.js';
import { AGENT_PORT, type Image, type ImageRecord } from './image.js';
import { recipeDigest } from './ingredients.js';
import { makeKernel } from './kernel.js';
import { makeRootTree, stageFiles } from './debian/rootfs.js';
import { makeExt4 } from './ext4.js';
import { makeWorkFolder, putInPlace, takeWorkshop, untilInterrupted, type Progress } from './workshop.js';

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
  const { guestDir = DEFAULT_GUEST_DIR, onProgress = () => undefined } = options;
  const definition = await readDefinition(name, guestDir);
  const built = await findImage(cacheDir, name, guestDir);
  if (built !== undefined) return built;

  await using undo = new ResourceStack();
  const signal = untilInterrupted(undo, options.signal);
  const codename = await checkHost('build an image', BUILD_TOOLS, { onProgress, signal });
  const images = join(cacheDir, 'images');
  const debsDir = join(cacheDir, 'debs');
  await mkdir(debsDir, { recursive: true });
  await takeWorkshop(images, undo, onProgress, signal);
  const builtMeanwhile = await findImage(cacheDir, name, guestDir);
  if (builtMeanwhile !== undefined) return builtMeanwhile;

  const workDir = await makeWorkFolder(images, name, undo);
  const made = join(workDir, 'image');
  const recipe = await recipeDigest(definition, guestDir);
  const digest = await makeImage({
    ...{ definition, recipe, guestDir, codename, workDir, debsDir, made, onProgress, signal },
  });
  await putInPlace(made, imageDir(cacheDir, name, digest));
  const image = await findImage(cacheDir, name, guestDir);
  if (image === undefined) throw new ImageBuildFailed(`The guest's files changed while "${name}" was built`);
  return image;
}

interface MakeImageInput {
  readonly definition: ImageDefinition;
  readonly recipe: string;
  readonly guestDir: string;
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
  const { definition, recipe, guestDir, codename, workDir, debsDir, made, onProgress, signal } = input;
  const stageDir = join(workDir, 'stage');
  await stageFiles({ definition, guestDir, stageDir });

  onProgress(`Installing Debian ${codename} with ${definition.packages.join(', ')}`);
  const rootDir = join(workDir, 'root');
  const { packages, rootfsMiB } = definition;
  const kernelDir = workDir;
  await makeRootTree({
    codename,
    packages,
    guestDir,
    stageDir,
    debsDir,
    kernelDir,
    workDir,
    rootDir,
    signal,
  });

  onProgress('Making kernel and modules');
  const debPath = join(kernelDir, 'kernel.deb');
  const kernelRelease = await makeKernel({
    debPath,
    workDir,
    imageDir: made,
    signal,
  });

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
    builtAtUnix: unixSeconds(),
  };
  await writeFileAtomic(join(made, 'image.json'), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
  return record.digest;
}
