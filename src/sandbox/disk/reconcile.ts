/**
 * Bringing a sandbox's record in line with the disk its VM really has.
 *
 * QEMU is the one who knows: a switch to the next overlay and a fold of the chain take effect there, and the
 * daemon may have died before it could note them. Whatever QEMU has that the chain does not need, nodes and
 * files, is removed.
 *
 * Not to be called while a branch may still switch the disk: the next overlay is a node nobody uses until
 * then.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { QmpClient } from '../../qmp/index.js';
import type { DiskRef } from '../../store/index.js';
import { cancelJobs, deleteNodes, readDiskState, type DiskState } from '../../vmm/index.js';
import { newId, type SandboxPaths } from '../entity/paths.js';
import type { SandboxRecord } from '../entity/record.js';

type DiskFields = Pick<SandboxRecord, 'disks' | 'overlay' | 'overlayNode' | 'switchCount'>;

/**
 * Ends what QEMU does to the disk, tidies up, and returns what the record should say. Throws what QMP says.
 */
export async function reconcileDisk(
  paths: SandboxPaths,
  record: SandboxRecord,
  qmp: QmpClient,
): Promise<DiskFields> {
  await cancelJobs(qmp);
  const state = await readDiskState(qmp);
  const fields = fieldsOf(state, paths, record);
  await deleteNodes(qmp, state.unused);
  return fields;
}

/** Removes the disk files that are not of the record's chain. */
export async function removeOtherDisks(paths: SandboxPaths, record: SandboxRecord): Promise<void> {
  const kept = new Set([...record.disks, record.overlay].map(({ path }) => path));
  for (const folder of [join(paths.stateDir, 'disk'), join(paths.hotDir, 'disk')]) {
    for (const name of await readdir(folder).catch(() => [])) {
      const path = join(folder, name);
      if (!kept.has(path)) await rm(path, { force: true });
    }
  }
}

/**
 * Pure. A file the record does not know is the overlay of a switch that was not noted; anywhere else it is
 * refused.
 */
export function fieldsOf({ chain }: DiskState, paths: SandboxPaths, record: SandboxRecord): DiskFields {
  const known = new Map([...record.disks, record.overlay].map((disk) => [disk.path, disk]));
  const refs = chain.map(({ path }): DiskRef => {
    const disk = known.get(path);
    if (disk !== undefined) return disk;
    if (!path.startsWith(join(paths.stateDir, 'disk/')))
      throw new Error(`The VM's disk uses ${path}, which is not the sandbox's`);
    return { id: newId(), format: 'qcow2', path };
  });
  const overlay = refs.pop();
  const overlayNode = chain.at(-1)?.node;
  if (overlay === undefined || overlayNode === undefined) throw new Error('The VM has no disk');
  const switches = Number(/^overlay(\d+)$/.exec(overlayNode)?.[1] ?? 0);
  return { disks: refs, overlay, overlayNode, switchCount: Math.max(record.switchCount, switches) };
}
