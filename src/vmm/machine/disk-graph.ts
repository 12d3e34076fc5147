/**
 * A disk as an explicit block graph.
 *
 *   virtio-blk ─▶ disk<N> (qcow2, read-write) ─backing▶ disk<N-1> (read-only) ─▶ … ─▶ disk0
 *                   └file▶ disk<N>-file          └file▶ disk<N-1>-file
 *
 * Every node names its driver and its backing node, so neither the format of an image nor the backing file written in it is ever
 * believed. Flushes go nowhere (`no-flush`): stopping a VM must not wait for a disk, and durability is the store's work.
 *
 * Invariant: no device pins guest memory. A pinned page is written by DMA, long after the fault that pinned it and without another: a
 * branch would not learn of it, and the layer would hold bytes of two instants. So no node has O_DIRECT (`direct`), `aio=native` or
 * io_uring, and no device is vhost's or vfio's: what a disk reads goes through the page cache and is copied into guest memory by a
 * thread of QEMU's, which faults as the guest does.
 */

export interface DiskLayer {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  /** May only be false for the top layer. */
  readonly readOnly: boolean;
}

const CACHE = { 'no-flush': true, direct: false };

/** Node name of the layer at `index`, counted from the bottom; its protocol node is that name with `-file`. */
export function diskNodeName(index: number): string {
  return `disk${index}`;
}

/** `-blockdev` for each layer, bottom first, and the guest's disk on the top one; nothing for no layers. */
export function diskArguments(layers: readonly DiskLayer[]): string[] {
  if (layers.length === 0) return [];
  const top = layers.length - 1;
  const nodes = layers.flatMap((layer, index) => {
    if (!layer.readOnly && index !== top) throw new TypeError(`Disk layer ${layer.path} must be read-only`);
    if (layer.format === 'raw' && index !== 0)
      throw new TypeError(`Raw disk layer ${layer.path} cannot have a backing`);
    return layerNodes(layer, index);
  });
  return [
    ...nodes.flatMap((node) => ['-blockdev', JSON.stringify(node)]),
    ...['-device', `virtio-blk-pci,id=vda,drive=${diskNodeName(top)},addr=0x3,disable-modern=on,romfile=`],
  ];
}

/** For `blockdev-add`: an overlay that stands on nothing until a switch puts it on top of the disk. */
export function spareOverlayNode(name: string, path: string): object {
  return {
    driver: 'qcow2',
    'node-name': name,
    file: fileNode(name, path, { cache: CACHE }),
    backing: null,
    cache: CACHE,
  };
}

function fileNode(name: string, path: string, common: object): object {
  return { driver: 'file', 'node-name': `${name}-file`, filename: path, aio: 'threads', ...common };
}

function layerNodes(layer: DiskLayer, index: number): object[] {
  const name = diskNodeName(index);
  const common = { 'read-only': layer.readOnly, 'auto-read-only': false, cache: CACHE };
  const file = fileNode(name, layer.path, common);
  const format = { driver: layer.format, 'node-name': name, file: `${name}-file`, ...common };
  if (layer.format === 'raw') return [file, format];
  return [file, { ...format, backing: index === 0 ? null : diskNodeName(index - 1) }];
}
