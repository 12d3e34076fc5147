/**
 * Empty overlays that stand ready in a VM's block graph, for the pager to switch to when the disk has grown too much.
 *
 *   disk0 ◀ … ◀ overlay (the guest writes here)      spare, spare: nodes nobody uses, files of the sandbox
 *
 * Whether a branch needs one only the pager knows, right before the pause; so they are made beforehand, and stay for the next
 * branch if they were not needed. A guest that does not write its disk pays for them once.
 *
 * Invariant: `sandbox.spareOverlays` names nodes that exist. Whoever removes the nodes nobody uses empties it first.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PagerSpare } from '../../pager/index.js';
import type { DiskRef } from '../../store/index.js';
import type { HostContext } from '../host/context.js';
import { newId } from '../entity/paths.js';
import { giveFile, letRead } from '../entity/vmm-files.js';
import type { Sandbox } from '../entity/sandbox.js';
import { guestDiskBytes } from './overlays.js';
import { spareOverlayNode } from '../../vmm/index.js';

/** One to switch to, and one more for a guest that writes too much between that switch and the pause. */
const SPARE_COUNT = 2;

/** Names of the nodes a VM's next spares get, in the order they are switched to; each one's file is `<node>.qcow2`. */
export function spareNames(switchCount: number): string[] {
  return Array.from({ length: SPARE_COUNT }, (_, ahead) => `overlay${switchCount + ahead + 1}`);
}

/** Makes what is missing; the guest runs. */
export async function prepareSpares({ overlays }: HostContext, sandbox: Sandbox): Promise<void> {
  const { record, spareOverlays } = sandbox;
  if (spareOverlays.length >= SPARE_COUNT) return;
  const diskBytes = await guestDiskBytes([...record.disks, record.overlay]);
  for (const node of spareNames(record.switchCount).slice(spareOverlays.length)) {
    const path = join(sandbox.paths.stateDir, 'disk', `${node}.qcow2`);
    await rm(path, { force: true });
    await overlays.create(path, diskBytes);
    if (sandbox.vm.user !== undefined) await giveFile(path, sandbox.vm.user);
    await sandbox.vm.vmm.qmp.execute('blockdev-add', spareOverlayNode(node, path));
    spareOverlays.push({ node, disk: { id: newId(), format: 'qcow2', path } });
  }
}

/** As the pager takes them: each is put on top of the one before it. */
export function sparesForPager({ record, spareOverlays }: Sandbox): PagerSpare[] {
  return spareOverlays.map(({ node, disk }, index) => ({
    path: disk.path,
    switch: {
      execute: 'blockdev-snapshot',
      arguments: { node: spareOverlays[index - 1]?.node ?? record.overlayNode, overlay: node },
    },
  }));
}

/** Notes that the pager has switched `count` times; returns what is frozen since, bottom first. */
export async function noteSwitches(sandbox: Sandbox, count: number): Promise<readonly DiskRef[]> {
  const { record } = sandbox;
  const used = sandbox.spareOverlays.splice(0, count);
  const top = used.at(-1);
  if (top === undefined) return [];
  const frozen = [record.overlay, ...used.slice(0, -1).map(({ disk }) => disk)];
  const { user } = sandbox.vm;
  if (user !== undefined) for (const { path } of frozen) await letRead(path, user);
  await sandbox.update({
    disks: [...record.disks, ...frozen],
    overlay: top.disk,
    overlayNode: top.node,
    switchCount: record.switchCount + count,
  });
  return frozen;
}
