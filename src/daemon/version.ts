/** The version of this installation, from package.json: the one place that knows it. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Version of bough, e.g. `0.1.0`. */
export const version: string = readVersion();

function readVersion(): string {
  const path = fileURLToPath(new URL('../../../package.json', import.meta.url));
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  return manifest.version;
}
