/** What is said of an image: the JSON files in guest/images/. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { errorCode } from '../base/index.js';
import { ImageUnknown, ImageUnusable } from './errors.js';

/** The guest/ folder of this checkout, seen from dist/src/image/. */
export const DEFAULT_GUEST_DIR = fileURLToPath(new URL('../../../guest', import.meta.url));

/** What an image may be called. */
export const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Schema of guest/images/<name>.json. */
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
  interpreter: z.array(z.string().min(1)).min(1).nullable(),
  /** Files to add: absolute path in the guest → path in the guest folder. */
  files: z.record(z.string().startsWith('/'), z.string()).default({}),
  /** Path in the guest folder of a program run in each restored sandbox before it is let out. */
  afterRestore: z.string().optional(),
  /** Random addresses for programs under software emulation too: safer, and every start of a program is slower. */
  randomAddresses: z.boolean().default(false),
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

function parseDefinition(name: string, path: string, text: string): ImageDefinition {
  try {
    const definition = imageDefinitionSchema.parse(JSON.parse(text));
    if (definition.name === name) return definition;
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new ImageUnusable(`Cannot use the image definition ${path}: ${problem}`, { cause: error });
  }
  throw new ImageUnusable(`Cannot use the image definition ${path}: its name is not "${name}"`);
}

/** Names of all definitions, sorted. */
export async function definitionNames(guestDir = DEFAULT_GUEST_DIR): Promise<string[]> {
  const files = await readdir(join(guestDir, 'images'));
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}
