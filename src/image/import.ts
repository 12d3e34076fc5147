/**
 * Imports an image that people have already: an OCI image becomes the root file system of a guest, unchanged.
 *
 *   skopeo: registry, Docker, Podman, archive -> layout     umoci: layers -> tree     mke2fs -d: tree -> ext4
 *
 * Nothing of ours is put into it (boot-archive.ts), and nothing in it is run. The tree is another's: it lies in a folder that only
 * root may enter, since it may hold programs that make their caller root.
 *
 * Not handled: platforms other than the guests'; layers that are encrypted; a kernel of the image's own.
 */
import { createHash } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ResourceStack, writeFileAtomic } from '../base/index.js';
import { builtNow, contentDigest, findRecorded, IMAGE_FILES, imageDir } from './catalog.js';
import { ImageBuildFailed } from './errors.js';
import { makeExt4 } from './ext4.js';
import { freeName } from './free-name.js';
import { checkHost, IMPORT_TOOLS, PDEATHSIG, runTool } from './host-tools.js';
import { AGENT_PORT, type Image, type ImageRecord, type Origin } from './image.js';
import { kernelPackage } from './kernel-package.js';
import { keptKernelsDir, makeKernel } from './kernel.js';
import { hintFor } from './oci/engines.js';
import { fetchImage, LAYOUT_TAG, type FetchedImage } from './oci/layout.js';
import { nameOf, sourceOf, type Source } from './oci/reference.js';
import { watchGrowth, watchRoom } from './watch.js';
import {
  makeWorkFolder,
  orNoRoom,
  putInPlace,
  takeWorkshop,
  untilInterrupted,
  type Progress,
} from './workshop.js';

/** The disk of a guest has this much room beyond what is in the image. */
const ROOM_MIB = 4096;

const DEFAULT_MEMORY_MIB = 1024;

const INODES_PER_MIB = 64;

/** A Docker daemon is silent while it gathers an image. */
const STALL_MS = 300_000;

export interface ImportImageOptions {
  /** The image's name here; made of the reference otherwise. */
  readonly name?: string | undefined;
  /** What its record says that it was made of; the reference otherwise. */
  readonly shownAs?: string | undefined;
  /** A file as `docker login` writes it. */
  readonly authFile?: string | undefined;
  /** Size of the disk as the guest sees it. */
  readonly diskMiB?: number | undefined;
  /** How long nothing may come from where the image is. */
  readonly stallMs?: number;
  readonly onProgress?: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Returns the image, once it is whole; one that was imported before under that name and is the same still is returned as it is.
 * SIGINT and SIGTERM of this process end it in good order. Throws ImageBuildFailed or the signal's reason.
 */
export function importImage(
  cacheDir: string,
  reference: string,
  options: ImportImageOptions = {},
): Promise<Image> {
  return orNoRoom(cacheDir, () => fetchAndMake(cacheDir, reference, options));
}

async function fetchAndMake(
  cacheDir: string,
  reference: string,
  options: ImportImageOptions,
): Promise<Image> {
  const { onProgress = () => undefined } = options;
  const naming = { attempt: 'import an image', remedy: 'choose another with --as' };
  const name = await freeName(options.name ?? nameOf(reference), naming);
  await using undo = new ResourceStack();
  const interrupted = untilInterrupted(undo, options.signal);
  const codename = await checkHost('import an image', IMPORT_TOOLS, { onProgress, signal: interrupted });
  const source = await sourceOf(reference, interrupted);
  const images = join(cacheDir, 'images');
  await takeWorkshop(images, undo, onProgress, interrupted);
  const signal = AbortSignal.any([interrupted, watchRoom(images, undo)]);

  onProgress(`Fetching ${source.from}`);
  const workDir = await makeWorkFolder(images, name, undo);
  const layout = join(cacheDir, 'fetched');
  const { authFile, stallMs = STALL_MS } = options;
  const fetched = await bring({ source, layout, workDir, authFile, stallMs, signal });
  // Beyond here it is no longer the way that something is wrong with.
  undo.defer(() => rm(layout, { recursive: true, force: true }));
  const known = await findRecorded(cacheDir, name);
  if (known?.origin?.digest === fetched.digest && options.diskMiB === undefined) return known;

  const made = join(workDir, 'image');
  const { shownAs = reference } = options;
  const input = { ...options, cacheDir, name, shownAs, codename, layout, fetched, workDir, made };
  const digest = await makeImage({ ...input, onProgress, signal });
  await putInPlace(made, imageDir(cacheDir, name, digest));
  const image = await findRecorded(cacheDir, name);
  if (image === undefined)
    throw new ImageBuildFailed(`The image "${name}" was removed while it was imported`);
  return image;
}

interface BringInput {
  readonly source: Source;
  readonly layout: string;
  readonly workDir: string;
  readonly authFile: string | undefined;
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

async function bring(input: BringInput): Promise<FetchedImage> {
  const { source, layout, workDir, authFile, stallMs, signal } = input;
  await using undo = new ResourceStack();
  const scratchDir = join(workDir, 'fetching');
  await mkdir(scratchDir, { mode: 0o700 });
  const growth = { what: `fetch ${source.from}`, stallMs };
  const stalled = AbortSignal.any([signal, watchGrowth([layout, scratchDir], growth, undo)]);
  try {
    return await fetchImage(source, layout, { authFile, scratchDir, signal: stalled });
  } catch (error) {
    const elsewhere = error instanceof ImageBuildFailed && !stalled.aborted;
    throw elsewhere && error.hint === undefined ? error.withHint(await hintFor(source)) : error;
  }
}

interface MakeImageInput {
  readonly cacheDir: string;
  readonly name: string;
  readonly shownAs: string;
  readonly codename: string;
  readonly layout: string;
  readonly fetched: FetchedImage;
  readonly diskMiB?: number | undefined;
  readonly workDir: string;
  readonly made: string;
  readonly onProgress: Progress;
  readonly signal: AbortSignal;
}

/** Returns the digest of what was made. */
async function makeImage(input: MakeImageInput): Promise<string> {
  const { name, codename, workDir, made, onProgress, signal } = input;
  onProgress('Unpacking the layers');
  const rootDir = await unpack(input);

  onProgress('Making kernel and modules');
  const debsDir = join(input.cacheDir, 'debs');
  const debPath = await kernelPackage({ ...input, debsDir, refresh: false });
  const keptDir = keptKernelsDir(debsDir);
  const kernelRelease = await makeKernel({ debPath, keptDir, workDir, imageDir: made, signal });

  onProgress('Writing the root file system');
  const { digest, defaults } = input.fetched;
  const origin: Origin = { reference: input.shownAs, digest, defaults };
  const recipe = createHash('sha256').update(JSON.stringify(origin)).digest('hex');
  const path = join(made, IMAGE_FILES.rootfs);
  const rootfsMiB = input.diskMiB ?? (await usedMiB(rootDir, signal)) + ROOM_MIB;
  await makeExt4({ rootDir, path, rootfsMiB, recipe, signal });
  const record: ImageRecord = {
    ...{ format: 2, name, recipe, kernelRelease, debianCodename: codename, agentPort: AGENT_PORT },
    digest: await contentDigest(made, signal),
    rootfsBytes: (await stat(path)).size,
    builtAtUnix: await builtNow(input.cacheDir, name),
    origin,
    memoryMiB: DEFAULT_MEMORY_MIB,
  };
  await writeFileAtomic(join(made, 'image.json'), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
  return record.digest;
}

async function unpack({ layout, workDir, signal }: MakeImageInput): Promise<string> {
  const closed = join(workDir, 'closed');
  await mkdir(closed, { mode: 0o700 });
  const rootDir = join(closed, 'root');
  const args = [...PDEATHSIG, 'umoci', 'raw', 'unpack', '--image', `${layout}:${LAYOUT_TAG}`, rootDir];
  await runTool('setpriv', args, { what: 'unpack the layers', signal });
  return rootDir;
}

/** What the tree takes up, also where it is many small files: mke2fs makes an inode for each 16 KiB of a disk. */
async function usedMiB(dir: string, signal: AbortSignal): Promise<number> {
  const du = async (...args: string[]): Promise<number> => {
    const said = await runTool('du', [...args, '-s', '--', dir], { what: 'measure the image', signal });
    return Number.parseInt(said, 10);
  };
  return Math.max(await du('-m'), Math.ceil((await du('--inodes')) / INODES_PER_MIB));
}
