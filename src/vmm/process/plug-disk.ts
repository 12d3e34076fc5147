/**
 * Gives its disk to a VM that was started with an empty one of the same size; its guest has not run yet.
 *
 * `drive` is one of the few properties that a device lets be set when it is realized (QEMU 6.2): its node is another then. What the guest sees of the
 * device it asks of the node when it asks for it, but for the geometry, which follows from the size.
 */
import { compact } from '../../base/index.js';
import type { QmpClient } from '../../qmp/index.js';
import { DISK_DEVICE, diskNodeName, diskNodes, EMPTY_NODE, type DiskLayer } from '../machine/disk-graph.js';

/** As long as QEMU has to start: it opens the files of all layers meanwhile, which may lie cold. */
const DEFAULT_DEADLINE_MS = 10_000;

/**
 * Bottom first. QEMU does what it is told in order, so nobody waits in between. Rejects with what it refuses first, QmpTimeout after
 * `deadlineMs`, or the signal's reason; the VM is of no use then.
 */
export async function plugDisk(
  qmp: QmpClient,
  layers: readonly DiskLayer[],
  {
    deadlineMs = DEFAULT_DEADLINE_MS,
    signal,
  }: { deadlineMs?: number; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const top = diskNodeName(layers.length - 1);
  const options = { timeoutMs: deadlineMs, ...compact({ signal }) };
  await Promise.all([
    ...diskNodes(layers).map((node) => qmp.execute('blockdev-add', node, options)),
    qmp.execute('qom-set', { path: DISK_DEVICE, property: 'drive', value: top }, options),
    qmp.execute('blockdev-del', { 'node-name': EMPTY_NODE }, options),
  ]);
}
