/**
 * Folding a snapshot into one without ancestors: one memory layer, one disk file.
 *
 * Upper layers win byte by byte. A disk chain of one or two files stays as it is, by links; a longer one is written out by qemu-img
 * as one qcow2 file. Every node of the chain is spelled out, so that no backing string in a file is ever followed.
 */
import { join } from 'node:path';
import { compact, failpoint } from '../../base/index.js';
import type { StoreContext } from '../context.js';
import { copyWholeFile } from '../format/copy.js';
import { startDraft, type DraftFolder, type OnReady } from '../life/draft.js';
import { union } from './fold.js';
import { writeStack } from './merge.js';
import { diskFile, type Manifest } from '../format/manifest.js';
import type { CompactPlan, Lease, LinkedSnapshot } from '../store.js';
import type { DiskRef, SnapshotView } from '../types.js';

/** Longest disk chain that is left alone. */
const SHORT_CHAIN = 2;

/** Writes the leased snapshot, compacted, as `plan.to`. Throws TagExists, NoSpace, or what qemu-img said. */
export async function compactSnapshot(
  context: StoreContext,
  lease: Lease,
  { to, requestKey, signal }: CompactPlan,
  onReady: OnReady,
): Promise<SnapshotView> {
  const { manifest } = lease;
  const runs = union(lease.layers.flatMap((layer) => layer.runs));
  const memoryBytes = runs.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0);
  const diskBytes = manifest.disks.length > SHORT_CHAIN ? sumBytes(manifest.disks) : 0;
  const draft = await startDraft(
    context,
    {
      tag: to,
      mode: 'full',
      requestKey,
      reserveHotBytes: memoryBytes + manifest.vmstate.bytes,
      reserveDurableBytes: memoryBytes + diskBytes,
    },
    onReady,
  );
  try {
    await writeStack(lease.layers, draft.memoryPath, { signal });
    await failpoint('compact.memory-written');
    await copyWholeFile(lease.vmstatePath, { path: draft.vmstatePath }, signal);
    await writeDisks(draft, lease, signal);
    await failpoint('compact.disks-written');
    return await draft.publish({
      memory: { runs, logicalBytes: lease.layers[0]?.logicalBytes ?? 0 },
      capturedBytes: memoryBytes,
      hasTail: false,
      machine: manifest.machine,
      image: manifest.image,
      agent: manifest.agent,
      ...compact({ network: manifest.network, recipe: manifest.recipe, rebuilt: manifest.rebuilt }),
      bootable: manifest.bootable,
    });
  } catch (error) {
    await draft.abandon();
    throw await context.hotSpace.explain(error);
  }
}

async function writeDisks(draft: DraftFolder, lease: Lease, signal: AbortSignal | undefined): Promise<void> {
  // Links of our own: persisting the snapshot meanwhile may move its files.
  const own: LinkedSnapshot = await lease.linkInto(draft.scratch.hot, draft.scratch.durable);
  if (own.disks.length <= SHORT_CHAIN) {
    for (const disk of own.disks) await draft.addDisk(disk);
  } else {
    const flat = join(draft.durableStaging, diskFile(draft.id, 'qcow2'));
    const node = `json:${JSON.stringify(chainNode(own.disks))}`;
    const { execa } = await import('execa');
    await execa('qemu-img', ['convert', '-U', '-O', 'qcow2', node, flat], {
      ...compact({ cancelSignal: signal }),
      stdin: 'ignore',
    });
    await draft.addWrittenDisk(draft.id, 'qcow2');
  }
  await draft.removeScratch();
}

/** The block node of a chain, every level explicit; its files are opened read-only. */
function chainNode(disks: readonly Pick<DiskRef, 'path' | 'format'>[]): object {
  let node: object | null = null;
  for (const { path, format } of disks) {
    const file = { driver: 'file', filename: path };
    node = format === 'raw' ? { driver: 'raw', file } : { driver: 'qcow2', file, backing: node };
  }
  return node ?? {};
}

const sumBytes = (disks: Manifest['disks']): number => disks.reduce((sum, { bytes }) => sum + bytes, 0);
