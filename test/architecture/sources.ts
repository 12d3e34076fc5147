/** The project's own source files as text: what the tests in this folder read. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The project's root, seen from dist/test/architecture. */
export const PROJECT_DIR = join(import.meta.dirname, '../../..');

/** A source file by its path from the project's root, such as `src/qmp/client.ts`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Every TypeScript and JavaScript file below `folder` of the project. */
export function readSources(folder: 'src' | 'test' | 'scripts' | 'examples'): Promise<SourceFile[]> {
  return readFiles(folder, /\.(ts|mjs)$/);
}

/** Every C file of the native programs and their tests; what a build made is none. */
export async function readNativeSources(): Promise<SourceFile[]> {
  const files = await readFiles('native', /\.[ch]$/);
  return files.filter(({ path }) => !path.split('/').includes('build'));
}

async function readFiles(folder: string, pattern: RegExp): Promise<SourceFile[]> {
  const names = await readdir(join(PROJECT_DIR, folder), { recursive: true });
  const paths = names.filter((name) => pattern.test(name)).map((name) => join(folder, name));
  return Promise.all(
    paths.map(async (path) => ({ path, text: await readFile(join(PROJECT_DIR, path), 'utf8') })),
  );
}
