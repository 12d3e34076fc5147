/**
 * A disk as an explicit block graph.
 *
 *   virtio-blk ─▶ disk<N> (qcow2, read-write) ─backing▶ disk<N-1> (read-only) ─▶ … ─▶ disk0
 *                   └file▶ disk<N>-file          └file▶ disk<N-1>-file
 *
 * Every node names its driver and its backing node, so neither the format of an image nor the backing file written in it is ever
 * believed. Flushes go nowhere (`no-flush`): stopping a VM must not wait for a disk, and durability is the store's work.
 *
 * A VM may be started before it is known what its disk consists of: the device then stands on an empty node of the same size until
 * the layers are plugged in (process/plug-disk.ts), and the graph is as if they had been there.
 *
 * Invariant: no device pins guest memory. A pinned page is written by DMA, long after the fault that pinned it and without another: a
 * branch would not learn of it, and the layer would hold bytes of two instants. So no node has O_DIRECT (`direct`), `aio=native` or
 * io_uring, and no device is vhost's or vfio's: what a disk reads goes through the page cache and is copied into guest memory by a
 * thread of QEMU's, which faults as the guest does.
 */

export type BlockNode = { readonly driver: string; readonly 'node-name': string } & Record<string, unknown>;

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

/** The guest's disk: what it consists of, bottom first, or the size of one whose layers are plugged in before the guest runs. */
export type Disk = readonly DiskLayer[] | { readonly emptyBytes: number };

/** The disk's device in QEMU's object tree. */
export const DISK_DEVICE = '/machine/peripheral/vda';
/** Node that the device stands on until there are layers. */
export const EMPTY_NODE = 'empty';

/** `-blockdev` for each node, and the guest's disk on the top one; nothing for no layers. */
export function diskArguments(disk: Disk): string[] {
  if ('emptyBytes' in disk) {
    const node = { driver: 'null-co', 'node-name': EMPTY_NODE, size: disk.emptyBytes, 'read-zeroes': true };
    return [...['-blockdev', JSON.stringify(node)], ...deviceOn(EMPTY_NODE)];
  }
  if (disk.length === 0) return [];
  return [
    ...diskNodes(disk).flatMap((node) => ['-blockdev', JSON.stringify(node)]),
    ...deviceOn(diskNodeName(disk.length - 1)),
  ];
}

const deviceOn = (node: string): string[] => [
  '-device',
  `virtio-blk-pci,id=vda,drive=${node},addr=0x3,disable-modern=on,romfile=`,
];

/** The nodes of the layers, as `blockdev-add` takes them, each after those that it stands on. */
export function diskNodes(layers: readonly DiskLayer[]): BlockNode[] {
  return layers.flatMap((layer, index) => {
    if (!layer.readOnly && index !== layers.length - 1)
      throw new TypeError(`Disk layer ${layer.path} must be read-only`);
    if (layer.format === 'raw' && index !== 0)
      throw new TypeError(`Raw disk layer ${layer.path} cannot have a backing`);
    return layerNodes(layer, index);
  });
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

function fileNode(name: string, path: string, common: object): BlockNode {
  return { driver: 'file', 'node-name': `${name}-file`, filename: path, aio: 'threads', ...common };
}

function layerNodes({ path, format, readOnly }: DiskLayer, index: number): BlockNode[] {
  const name = diskNodeName(index);
  const common = { 'read-only': readOnly, 'auto-read-only': false, cache: CACHE };
  // A node of its own: one that is given within the other is opened anew with it, when the file is not the VMM's to write any more.
  const file = fileNode(name, path, common);
  const node = { driver: format, 'node-name': name, file: `${name}-file`, ...common };
  if (format === 'raw') return [file, node];
  return [file, { ...node, backing: index === 0 ? null : diskNodeName(index - 1) }];
}
