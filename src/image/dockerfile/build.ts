/**
 * Builds what a Dockerfile says, and imports it: from then on it is an image like any other from elsewhere.
 *
 *   buildah bud: Dockerfile -> layers in a storage of our own     buildah push: layers -> a folder     importImage
 *
 * The storage stays, so that a step that was done before is not done again. It is apart from that of the user's own containers, and only root
 * may enter it, since trees of images lie in it. buildah runs in a mount namespace: when it is gone, so is what it had mounted.
 *
 * Not handled: other platforms; secrets and mounts that need a daemon; making the storage smaller.
 */
import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorCode, ResourceStack } from '../../base/index.js';
import { ImageBuildFailed } from '../errors.js';
import { checkHost, DOCKERFILE_TOOLS, followTool, PDEATHSIG, runTool } from '../host-tools.js';
import type { Image } from '../image.js';
import { freeName } from '../free-name.js';
import { importImage } from '../import.js';
import { registryArgs } from './registries.js';
import { watchRoom } from '../watch.js';
import { makeWorkFolder, takeWorkshop, untilInterrupted, type Progress } from '../workshop.js';

/** Everything that is mounted on the way is mounted for this process and its children only. */
const OWN_MOUNTS = ['unshare', '--mount', '--propagation', 'private', '--'];

export interface BuildDockerfileOptions {
  /** The image's name here. */
  readonly name: string;
  /** The folder that COPY and ADD take files from. */
  readonly context: string;
  /** Default: `Dockerfile` in the context. */
  readonly dockerfile?: string | undefined;
  /** For ARG. */
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** Size of the disk as the guest sees it. */
  readonly diskMiB?: number | undefined;
  readonly onProgress?: Progress;
  /** Told each line that the build prints. */
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Returns the image, once it is whole. Throws ImageBuildFailed or the signal's reason, as `importImage` does. */
export async function buildDockerfile(cacheDir: string, options: BuildDockerfileOptions): Promise<Image> {
  const { onProgress = () => undefined } = options;
  const name = await freeName(options.name, {
    attempt: 'build an image',
    remedy: 'choose another with --tag',
  });
  const context = resolve(options.context);
  const dockerfile = resolve(options.dockerfile ?? join(context, 'Dockerfile'));
  for (const path of [context, dockerfile]) await requireThere(path);
  await using undo = new ResourceStack();
  const interrupted = untilInterrupted(undo, options.signal);
  await checkHost('build an image', DOCKERFILE_TOOLS, { onProgress, signal: interrupted });
  const folder = join(cacheDir, 'dockerfile');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  await takeWorkshop(folder, undo, onProgress, interrupted);
  const signal = AbortSignal.any([interrupted, watchRoom(folder, undo)]);
  const workDir = await makeWorkFolder(folder, name, undo);
  const built = await build({ ...options, folder, context, dockerfile, workDir, signal });
  const { diskMiB } = options;
  return await importImage(cacheDir, `dir:${built}`, {
    name,
    shownAs: dockerfile,
    diskMiB,
    onProgress,
    signal,
  });
}

async function requireThere(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw error;
    throw new ImageBuildFailed(`Cannot build an image: there is no ${path}`);
  }
}

interface BuildInput extends BuildDockerfileOptions {
  readonly folder: string;
  readonly dockerfile: string;
  readonly workDir: string;
  readonly signal: AbortSignal;
}

/** Returns the folder that the image was written to. */
async function build(input: BuildInput): Promise<string> {
  const { name, context, dockerfile, buildArgs = {}, workDir, signal } = input;
  const { onProgress = () => undefined, onLine = () => undefined } = input;
  const buildah = await buildahOver(input);
  const env = { TMPDIR: join(workDir, 'tmp'), BUILDAH_ISOLATION: 'chroot' };
  await mkdir(env.TMPDIR, { mode: 0o700 });

  onProgress(`Building what ${dockerfile} says`);
  const tag = `localhost/bough:${name}`;
  // HEALTHCHECK is in Docker's format of an image only.
  const how = ['--format', 'docker', '--isolation', 'chroot', '--layers', '--file', dockerfile, '--tag', tag];
  const args = Object.entries(buildArgs).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  const what = `build what ${dockerfile} says`;
  await followTool('setpriv', [...buildah, 'bud', ...how, ...args, '--', context], {
    ...{ what, env, signal, onLine },
  });
  const built = join(workDir, 'built');
  const push = ['push', '--quiet', '--format', 'docker', tag, `dir:${built}`];
  await runTool('setpriv', [...buildah, ...push], { what, env, signal });
  return built;
}

/** buildah and its arguments for our storage: layers as overlays where root can mount them, or else as copies of whole trees. */
async function buildahOver(input: BuildInput): Promise<string[]> {
  const { folder, dockerfile, buildArgs = {}, workDir, signal } = input;
  const named = [await readFile(dockerfile, 'utf8'), ...Object.values(buildArgs)].join('\n');
  const registries = await registryArgs(named, join(workDir, 'registries.conf'));
  const over = (driver: string): string[] => [
    ...[...PDEATHSIG, ...OWN_MOUNTS, 'buildah', '--storage-driver', driver],
    ...['--root', join(folder, driver), '--runroot', join(workDir, 'run')],
    ...registries,
  ];
  try {
    await runTool('setpriv', [...over('overlay'), 'info'], { what: 'look for overlay mounts', signal });
    return over('overlay');
  } catch (error) {
    if (!(error instanceof ImageBuildFailed) || signal.aborted) throw error;
    return over('vfs');
  }
}
