/**
 * What an image is made from besides Debian's packages: the files of guest/ that get into it or make it, and no others.
 *
 * The build lays out these very files and the recipe's digest covers them, so an image is out of date when something it consists of
 * has changed, and not when another image's interpreter has, or our own programs (boot-archive.ts).
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, TEMPORARY_PREFIX } from '../base/index.js';
import type { ImageDefinition } from './definition.js';
import { ImageUnusable } from './errors.js';

/** Raise it when the builder makes something else of the same input. */
const BUILDER_VERSION = 5;

/** Where our own files are in a guest. */
const GUEST_FOLDER = '/usr/lib/bough';

/** Where the files of a definition are. */
export interface Folders {
  readonly guestDir: string;
  /** What the definition's own paths begin at; the guest folder for those of the checkout. */
  readonly filesDir: string;
}

/** A file or folder that is put into an image. */
export interface Ingredient {
  /** The field of the definition that says so. */
  readonly field: string;
  readonly dir: string;
  /** Path below `dir`. */
  readonly from: string;
  /** Absolute path in the guest. */
  readonly to: string;
  readonly mode?: number;
}

/** Run by the build. */
const BUILD_FILES = ['build/rootfs-hook.sh'];

/** What is copied into the image as it is. */
export function ingredients(
  { interpreter, files, afterRestore }: ImageDefinition,
  { guestDir, filesDir }: Folders,
): Ingredient[] {
  const ours = (interpreter ?? []).filter((word) => word.startsWith(`${GUEST_FOLDER}/interpreters/`));
  const hook = { field: 'afterRestore', dir: filesDir, to: '/etc/bough/hooks/after-restore', mode: 0o755 };
  return [
    ...ours.map((to) => ({
      ...{ field: 'interpreter', dir: guestDir, from: to.slice(GUEST_FOLDER.length + 1), to },
    })),
    ...Object.entries(files).map(([to, from]) => ({ field: `files.${to}`, dir: filesDir, from, to })),
    ...(afterRestore === undefined ? [] : [{ ...hook, from: afterRestore }]),
  ];
}

/** SHA-256 in hex over all an image is made from, except Debian's archive, which moves on by itself. Throws ImageUnusable for a file that is
 * not there, naming the field. */
export async function recipeDigest(definition: ImageDefinition, folders: Folders): Promise<string> {
  const { name, packages, rootfsMiB, interpreter } = definition;
  const found = ingredients(definition, folders);
  const copied = found.map(({ from, to, mode }) => ({ from, to, mode }));
  const hash = createHash('sha256');
  hash.update(JSON.stringify([BUILDER_VERSION, packages, rootfsMiB, interpreter, copied]));
  const ofBuild = BUILD_FILES.map((from) => ({ field: 'the builder', dir: folders.guestDir, from }));
  for (const { field, dir, from } of [...ofBuild, ...found]) {
    for (const path of await filesAt(dir, from).catch(missing(name, field))) {
      const content = await readFile(join(dir, path));
      hash.update(JSON.stringify([path, content.length])).update(content);
    }
  }
  return hash.digest('hex');
}

const missing =
  (name: string, field: string) =>
  (cause: unknown): never => {
    if (errorCode(cause) !== 'ENOENT' && errorCode(cause) !== 'ENOTDIR') throw cause;
    const { path = '' } = cause as NodeJS.ErrnoException;
    throw new ImageUnusable(`Cannot use the image definition "${name}": ${field}: there is no ${path}`, {
      cause,
    });
  };

/** Whether a file of guest/ is one that somebody wrote. */
export function isSource(path: string): boolean {
  return !path.includes('__pycache__') && !path.split('/').some((name) => name.startsWith(TEMPORARY_PREFIX));
}

async function filesAt(guestDir: string, path: string): Promise<string[]> {
  if (!(await stat(join(guestDir, path))).isDirectory()) return [path];
  const below = await readdir(join(guestDir, path), { withFileTypes: true });
  const found = await Promise.all(
    below
      .map(({ name }) => join(path, name))
      .filter(isSource)
      .map((each) => filesAt(guestDir, each)),
  );
  return found.flat().sort();
}
