/**
 * What an image is made from besides Debian's packages: the files of guest/ that get into it or make it, and no others.
 *
 * The build lays out these very files and the recipe's digest covers them, so an image is out of date when something it consists of
 * has changed, and not when another image's interpreter has, or our own programs (boot-archive.ts).
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../base/index.js';
import type { ImageDefinition } from './definition.js';

/** Raise it when the builder makes something else of the same input. */
const BUILDER_VERSION = 4;

/** Where our own files are in a guest. */
const GUEST_FOLDER = '/usr/lib/bough';

/** A file or folder of guest/, and its absolute path in the guest. */
export interface Ingredient {
  readonly from: string;
  readonly to: string;
  readonly mode?: number;
}

/** Run by the build. */
const BUILD_FILES = ['build/rootfs-hook.sh'];

/** What is copied into the image as it is. */
export function ingredients({ interpreter, files, afterRestore }: ImageDefinition): Ingredient[] {
  const ours = (interpreter ?? []).filter((word) => word.startsWith(`${GUEST_FOLDER}/interpreters/`));
  return [
    ...ours.map((to) => ({ from: to.slice(GUEST_FOLDER.length + 1), to })),
    ...Object.entries(files).map(([to, from]) => ({ from, to })),
    ...(afterRestore === undefined
      ? []
      : [{ from: afterRestore, to: '/etc/bough/hooks/after-restore', mode: 0o755 }]),
  ];
}

/** SHA-256 in hex over all an image is made from, except Debian's archive, which moves on by itself. */
export async function recipeDigest(definition: ImageDefinition, guestDir: string): Promise<string> {
  const { packages, rootfsMiB, interpreter } = definition;
  const copied = ingredients(definition);
  const hash = createHash('sha256');
  hash.update(JSON.stringify([BUILDER_VERSION, packages, rootfsMiB, interpreter, copied]));
  for (const from of [...BUILD_FILES, ...copied.map((each) => each.from)]) {
    for (const path of await filesAt(guestDir, from)) {
      const content = await readFile(join(guestDir, path));
      hash.update(JSON.stringify([path, content.length])).update(content);
    }
  }
  return hash.digest('hex');
}

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
