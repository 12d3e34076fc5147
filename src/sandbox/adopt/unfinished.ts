/** What a daemon that was killed left half written: empty overlays, records of sandboxes, snapshots on their way to other hosts. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, removeUnfinished } from '../../base/index.js';
import type { HostContext } from '../host/context.js';
import { hubWorkDir, overlaysDir, sandboxesDir } from '../entity/paths.js';

/** Removes it. Only a daemon that starts may: later, such a file is being written. */
export async function removeUnfinishedFiles({
  tiers,
  emit,
}: Pick<HostContext, 'tiers' | 'emit'>): Promise<void> {
  const folders = [overlaysDir(tiers), sandboxesDir(tiers.stateDir)];
  folders.push(hubWorkDir(tiers.stateDir), hubWorkDir(tiers.hotDir));
  folders.push(...(await foldersIn(sandboxesDir(tiers.stateDir))));
  for (const folder of folders) {
    const names = await removeUnfinished(folder);
    if (names.length > 0) emit('unfinished.removed', { folder, names });
  }
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
