/** What is said of an image: the JSON files in guest/images/, and those of the same form that people keep elsewhere. */
import { readdir, readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { errorCode, messageOf } from '../base/index.js';
import { ImageUnknown, ImageUnusable } from './errors.js';

/** The guest/ folder of this checkout, seen from dist/src/image/. */
export const DEFAULT_GUEST_DIR = fileURLToPath(new URL('../../../guest', import.meta.url));

/** What an image may be called. */
export const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

const argv = z.array(z.string().min(1)).min(1);

/** Joined to a folder, it stays in it. */
const guestPath = z
  .string()
  .refine(
    (path) => path.startsWith('/') && path !== '/' && posix.normalize(path) === path && !path.includes('\0'),
    'must be an absolute path in the guest, without "." and ".."',
  );

/** What an image serves, once somebody asks for it to be started. */
export const imageServiceSchema = z.strictObject({
  /** Program and arguments. */
  command: argv,
  /** TCP ports, the first of which tells whether it is ready. */
  ports: z.array(z.int().min(1).max(65_535)).default([]),
  /** A command that ends with 0 when it is; better than a port, where there is one. */
  healthcheck: argv.optional(),
});

/** Schema of a definition. */
export const imageDefinitionSchema = z.strictObject({
  name: z.string().regex(NAME),
  description: z.string().min(1),
  /** Debian packages besides the minimal system. */
  packages: z.array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/)),
  memoryMiB: z.int().min(128).max(1_048_576),
  vcpus: z.int().min(1).max(64),
  /** Logical size of the root file system; the file is sparse. */
  rootfsMiB: z.int().min(256).max(1_048_576),
  /** Command of the warm interpreter; null for none. */
  interpreter: argv.nullable(),
  /** Files to add: absolute path in the guest → path in the guest folder, or from the folder of a definition that lies elsewhere. */
  files: z.record(guestPath, z.string().min(1)).default({}),
  /** Path, likewise, of a program run in each restored sandbox before it is let out. */
  afterRestore: z.string().optional(),
  /** Random addresses for programs under software emulation too: safer, and every start of a program is slower. */
  randomAddresses: z.boolean().default(false),
  service: imageServiceSchema.optional(),
});

/** An image definition, checked. */
export type ImageDefinition = z.infer<typeof imageDefinitionSchema>;

/** Reads a definition; throws ImageUnknown, which lists the known names, or ImageUnusable naming the wrong field. */
export async function readDefinition(name: string, guestDir = DEFAULT_GUEST_DIR): Promise<ImageDefinition> {
  const path = join(guestDir, 'images', `${name}.json`);
  if (!NAME.test(name)) throw new ImageUnknown(name, await definitionNames(guestDir));
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new ImageUnknown(name, await definitionNames(guestDir));
  }
  return parseDefinition(name, path, text);
}

/** Reads one that lies anywhere, under whatever name. Throws ImageUnusable, naming the wrong field. */
export async function readDefinitionFile(path: string): Promise<ImageDefinition> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new ImageUnusable(`Cannot read the image definition ${path}: ${messageOf(cause)}`, { cause });
  }
  return parsed(path, text);
}

function parseDefinition(name: string, path: string, text: string): ImageDefinition {
  const definition = parsed(path, text);
  if (definition.name === name) return definition;
  throw new ImageUnusable(`Cannot use the image definition ${path}: its name is not "${name}"`);
}

function parsed(path: string, text: string): ImageDefinition {
  try {
    return imageDefinitionSchema.parse(JSON.parse(text));
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    throw new ImageUnusable(`Cannot use the image definition ${path}: ${problem}`, { cause: error });
  }
}

/** Names of all definitions, sorted. */
export async function definitionNames(guestDir = DEFAULT_GUEST_DIR): Promise<string[]> {
  const files = await readdir(join(guestDir, 'images'));
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}
