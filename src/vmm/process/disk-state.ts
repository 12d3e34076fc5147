/**
 * What the guest's disk really is: the chain of nodes below its device, as QEMU says, and the nodes nobody
 * uses.
 *
 *   virtio-blk ─root▶ overlay2 ─backing▶ overlay1 ─backing▶ disk0          chain, bottom first: disk0, overlay1, overlay2
 *                       └file▶ overlay2-file …                             unused: every other node that has a name
 *
 * A record of the chain can be behind what QEMU did (a switch or a fold that ended while nobody listened);
 * this cannot.
 */
import { QmpCommandError, type QmpClient } from '../../qmp/index.js';

export interface DiskState {
  /** Bottom first; the guest writes to the last one. */
  readonly chain: readonly { readonly node: string; readonly path: string }[];
  /** Named nodes that no device reaches. */
  readonly unused: readonly string[];
}

/** `x-debug-query-block-graph`, of which only names are used. */
export interface BlockGraph {
  readonly nodes: readonly { readonly id: number; readonly type: string; readonly name: string }[];
  readonly edges: readonly { readonly parent: number; readonly child: number; readonly name: string }[];
}

/** Asks QEMU. Throws if there is not exactly one disk, or a layer of it is not a file. */
export async function readDiskState(qmp: QmpClient): Promise<DiskState> {
  const graph = (await qmp.execute('x-debug-query-block-graph')) as BlockGraph;
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true })) as readonly {
    readonly 'node-name': string;
    readonly file: string;
  }[];
  return diskStateOf(graph, new Map(nodes.map((node) => [node['node-name'], node.file])));
}

/** Pure; `fileOf` maps a node's name to the file QEMU says it is. */
export function diskStateOf(graph: BlockGraph, fileOf: ReadonlyMap<string, string>): DiskState {
  const names = new Map(graph.nodes.map(({ id, name }) => [id, name]));
  const childOf = (parent: number, role: string): number | undefined =>
    graph.edges.find((edge) => edge.parent === parent && edge.name === role)?.child;
  const roots = graph.nodes
    .filter(({ type }) => type === 'block-backend')
    .flatMap(({ id }) => childOf(id, 'root') ?? []);
  const [top] = roots;
  if (top === undefined || roots.length > 1)
    throw new Error(`The VM has ${roots.length} disks instead of one`);

  const chain: { node: string; path: string }[] = [];
  const used = new Set<number>();
  for (let id: number | undefined = top; id !== undefined; id = childOf(id, 'backing')) {
    const file = childOf(id, 'file');
    const path = file === undefined ? undefined : fileOf.get(names.get(file) ?? '');
    if (file === undefined || path === undefined)
      throw new Error(`Disk node ${names.get(id) ?? ''} has no file`);
    chain.unshift({ node: names.get(id) ?? '', path });
    used.add(id).add(file);
  }
  const unused = graph.nodes.filter(({ id, type }) => type === 'block-driver' && !used.has(id));
  return { chain, unused: unused.map(({ name }) => name) };
}

/** Deletes nodes, each once nothing stands on it any more; a node that goes with its parent needs no more. */
export async function deleteNodes(qmp: QmpClient, nodes: readonly string[]): Promise<void> {
  let left = nodes;
  for (let before = Infinity; left.length > 0 && left.length < before;) {
    before = left.length;
    const refused: string[] = [];
    for (const node of left) {
      try {
        await qmp.execute('blockdev-del', { 'node-name': node });
      } catch (error) {
        if (!(error instanceof QmpCommandError)) throw error;
        refused.push(node);
      }
    }
    left = refused;
  }
}
