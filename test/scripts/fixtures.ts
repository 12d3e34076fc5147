/** Writes small test files, as JavaScript modules, for the runner to run. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const HEADER = `import { after, describe, it, test } from 'node:test';\n`;

/** Name to body; every body has describe, it, test and after at hand. Returns the paths. */
export async function writeTestFiles(dir: string, bodies: Record<string, string>): Promise<string[]> {
  return Promise.all(
    Object.entries(bodies).map(async ([name, body]) => {
      const path = join(dir, `${name}.test.mjs`);
      await writeFile(path, HEADER + body);
      return path;
    }),
  );
}
