/**
 * Whether the state directory is the one that belongs to what runs.
 *
 * A daemon that finds VMMs nobody has noted ends them. Were the state directory of the wrong name, or not
 * mounted, that would be all of them: so one that knows of no sandbox at all, while VMMs run from the hot
 * directory, is refused before anything is made in it.
 */
import { access } from 'node:fs/promises';
import { findRunningVmms, type RunningVmm } from '../../vmm/index.js';
import { sandboxesDir, sandboxPaths, type Tiers } from '../entity/paths.js';

/** VMMs run from the hot directory, and the state directory knows of no sandbox. */
export class StateMissing extends Error {
  override readonly name = 'StateMissing';

  constructor({ hotDir, stateDir }: Tiers, vmms: readonly RunningVmm[]) {
    const pids = vmms.map(({ pid }) => pid).join(', ');
    super(
      `Virtual machines run from ${hotDir} (processes ${pids}), but ${stateDir} knows of no sandbox: is it the right folder, and ` +
        'mounted? To begin with an empty one, end them first',
    );
  }
}

/** Every VMM that runs from these folders. */
export function findVmms(tiers: Tiers): Promise<RunningVmm[]> {
  return findRunningVmms((name) => sandboxPaths(tiers, name).qmpSocket);
}

/** Throws StateMissing. The folder of sandboxes is made with the first of them, and never removed. */
export async function checkStateFolder(tiers: Tiers): Promise<void> {
  const vmms = await findVmms(tiers);
  if (vmms.length === 0) return;
  await access(sandboxesDir(tiers.stateDir)).catch(() => {
    throw new StateMissing(tiers, vmms);
  });
}
