/**
 * Builds an image: root file system, kernel, initramfs. It takes about a minute, most of it installing packages.
 *
 * All work is done in one temporary folder beside the result, which is renamed into place when it is complete: a build that fails or
 * is interrupted leaves nothing. One build at a time per cache folder; what a killed one left is removed by the next.
 */
import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  anyOf,
  errorCode,
  lockFile,
  LockHeld,
  ResourceStack,
  sleep,
  TEMPORARY_PREFIX,
  temporaryPath,
  unixSeconds,
  writeFileAtomic,
} from '../base/index.js';
import { contentDigest, findImage, IMAGE_FILES, imageDir } from './catalog.js';
import { DEFAULT_GUEST_DIR, readDefinition, type ImageDefinition } from './definition.js';
import { ImageBuildFailed } from './errors.js';
import { checkBuildHost, runTool } from './host-tools.js';
import { AGENT_PORT, type Image, type ImageRecord } from './image.js';
import { recipeDigest } from './ingredients.js';
import { makeKernel } from './kernel.js';
import { makeExt4, makeRootTree, stageFiles } from './debian/rootfs.js';

export interface BuildImageOptions {
  readonly guestDir?: string;
  /** Told what is being done, a few words at each step. */
  readonly onProgress?: (step: string) => void;
  readonly signal?: AbortSignal;
}

const LOCK_POLL_MS = 500;

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
  const codename = await checkBuildHost();
  const images = join(cacheDir, 'images');
  const debsDir = join(cacheDir, 'debs');
  await mkdir(images, { recursive: true });
  await mkdir(debsDir, { recursive: true });
  undo.use(await waitForLock(join(images, '.lock'), onProgress, signal));
  await removeLeftovers(images);
  const builtMeanwhile = await findImage(cacheDir, name, guestDir);
  if (builtMeanwhile !== undefined) return builtMeanwhile;

  const workDir = temporaryPath(join(images, name));
  undo.defer(() => removeTree(workDir));
  await mkdir(workDir);
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
  readonly onProgress: (step: string) => void;
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
  await runTool('sync', ['--file-system', made], { what: 'flush the image to disk', signal });
  return record.digest;
}

/** A folder of that name holds the same bytes, made by another recipe perhaps: what is new about it is image.json. */
async function putInPlace(made: string, dir: string): Promise<void> {
  try {
    await rename(made, dir);
  } catch (error) {
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    await rename(join(made, 'image.json'), join(dir, 'image.json'));
  }
}

async function waitForLock(
  path: string,
  onProgress: (step: string) => void,
  signal: AbortSignal,
): Promise<{ close(): Promise<void> }> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await lockFile(path);
    } catch (error) {
      if (!(error instanceof LockHeld)) throw error;
      if (attempt === 0) onProgress(`Waiting for the build of process ${error.holder}`);
      await sleep(LOCK_POLL_MS, signal);
    }
  }
}

async function removeLeftovers(images: string): Promise<void> {
  for (const name of await readdir(images)) {
    if (name.startsWith(TEMPORARY_PREFIX)) await removeTree(join(images, name));
  }
}

/** Never crosses into another file system: an interrupted build might have left something of the host mounted. */
async function removeTree(dir: string): Promise<void> {
  await runTool('rm', ['-rf', '--one-file-system', '--', dir], { what: `remove ${dir}` });
}

function untilInterrupted(undo: ResourceStack, signal: AbortSignal | undefined): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const onSignal = (): void =>
      interrupted.abort(new ImageBuildFailed(`The build was interrupted by ${name}`));
    // Not once(): execa takes a signal without other listeners for one that nobody handles, and ends the process.
    process.on(name, onSignal);
    undo.defer(() => process.off(name, onSignal));
  }
  return anyOf(interrupted.signal, signal);
}
