/** Where a sandbox's links to memory layers are: to those it has mapped, and to those of its line. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxPaths } from './paths.js';
import type { SandboxRecord } from './record.js';

/** Where the lease of a snapshot puts them, too. */
export const layersDir = ({ hotDir }: SandboxPaths): string => join(hotDir, 'layers');

/** Removes the links that a daemon made and could not note. */
export async function removeOtherLayers(paths: SandboxPaths, record: SandboxRecord): Promise<void> {
  const kept = new Set([...record.layers, ...(record.line?.layers ?? [])].map(({ path }) => path));
  for (const name of await readdir(layersDir(paths)).catch(() => [])) {
    const path = join(layersDir(paths), name);
    if (!kept.has(path)) await rm(path, { force: true });
  }
}
