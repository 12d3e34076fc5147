/**
 * Which failpoint is tested how. An architecture test compares the names here with those in src/.
 *
 * A case of the store names an operation of `store-world.ts` and, after a colon, which passage of the place
 * it is about. A case of the host names one of `host-operations.ts`, or of `host-parts.ts` where no VM is
 * needed.
 */

/** How one place is reached. */
export interface FailpointCase {
  readonly operation: string;
  readonly count: number;
}

/** Places where nothing can fail but the process: what follows is a change in memory. */
export const KILL_ONLY: readonly string[] = [
  'publish.renamed',
  'branch.published',
  'load.renamed',
  'branch.failed',
  'branch.disk-corrected',
  'create.published',
];

const store: Readonly<Record<string, string>> = {
  'draft.reserved': 'capture',
  'draft.staged': 'capture',
  'draft.layers-linked': 'capture',
  'draft.disks-linked': 'capture',
  'draft.announced': 'capture',
  'file.linking': 'capture capture:3 capture:5',
  'file.written': 'capture abandon:2',
  'file.renamed': 'capture abandon:2',
  'publish.sealed': 'capture',
  'manifest.unsigned': 'capture capture:2 load',
  'publish.described': 'capture compact',
  'publish.disk-renamed': 'capture compact',
  'publish.renamed': 'capture compact',
  'persist.started': 'capture restart',
  'persist.cleared': 'capture restart',
  'copy.chunk': 'capture capture:2 capture:3 load load:2 load:3 restart',
  'copy.write': 'capture capture:2 capture:3 load load:2 load:3',
  'copy.filled': 'capture capture:2 capture:3 load load:2 load:3',
  'persist.layers-copied': 'capture',
  'persist.disks-copied': 'capture restart',
  'persist.vmstate-copied': 'capture',
  'persist.described': 'capture',
  'persist.synced': 'capture',
  'persist.renamed': 'capture compact restart',
  'persist.rename-synced': 'capture',
  'persist.tail-removed': 'capture restart',
  'abandon.removed': 'abandon',
  'delete.begun': 'delete',
  'delete.hot-renamed': 'delete',
  'delete.renamed': 'delete',
  'delete.synced': 'delete',
  'delete.unlinked': 'delete',
  'evict.renamed': 'evict evict:2 evict:3',
  'load.staged': 'load',
  'load.layer-read': 'load load:2',
  'load.layers-loaded': 'load',
  'load.vmstate-loaded': 'load',
  'load.described': 'load',
  'load.renamed': 'load',
  'compact.memory-written': 'compact',
  'compact.disks-written': 'compact',
  'quarantine.begun': 'quarantine',
  'quarantine.moved': 'quarantine',
  'quarantine.hot-renamed': 'quarantine',
  'recover.scanned': 'restart',
  'recover.quarantined': 'restart',
  'recover.cleaned': 'restart',
};

const host: Readonly<Record<string, string>> = {
  'branch.drafted': 'branch switch',
  'branch.overlay-added': 'branch switch',
  'branch.prepared': 'branch switch',
  'branch.requested': 'branch switch',
  'branch.running': 'branch switch',
  'branch.captured': 'branch switch',
  'branch.switch-noted': 'branch switch',
  'branch.published': 'branch switch',
  'branch.failed': 'broken-branch',
  'branch.disk-corrected': 'broken-branch',
  'line.linked': 'branch',
  'line.merged': 'merge',
  'line.replaced': 'branch merge:2',
  'merge.written': 'merge',
  'record.changed': 'branch spawn spawn:2 adopt',
  'record.written': 'branch spawn spawn:2 adopt',
  'spawn.folders-made': 'spawn warm-spawn',
  'spawn.linked': 'spawn warm-spawn',
  'spawn.overlay-made': 'spawn warm-spawn',
  'spawn.started': 'spawn warm-spawn',
  'spawn.mapped': 'spawn warm-spawn',
  'spawn.loaded': 'spawn warm-spawn',
  'spawn.running': 'spawn warm-spawn',
  'spawn.identified': 'spawn warm-spawn',
  'spawn.owned': 'spawn warm-spawn',
  'warm.ground': 'refill',
  'warm.overlay': 'refill',
  'warm.ready': 'refill',
  'rollback.restored': 'rollback',
  'rollback.switched': 'rollback',
  'create.booting': 'create',
  'fold.begun': 'fold',
  'fold.streamed': 'fold',
  'fold.noted': 'fold',
  'remove.forgotten': 'remove',
  'remove.killed': 'remove',
  'remove.hot-removed': 'remove',
  'adopt.read': 'adopt',
  'adopt.orphans-killed': 'adopt',
  'adopt.connected': 'adopt',
  'adopt.reconciled': 'adopt',
  'adopt.noted': 'adopt',
  'adopt.freed': 'adopt-dead',
};

const part: Readonly<Record<string, string>> = {
  'overlay.made': 'overlay',
  'create.drafted': 'create',
  'create.folders-made': 'create',
  'create.disk-laid': 'create',
  'create.warm': 'create',
  'create.captured': 'create',
  'create.published': 'create',
  'receive.reserved': 'import',
  'receive.staged': 'import',
  'receive.checked': 'import',
  'import.unpacked': 'import',
  'import.owned': 'import',
  'import.captured': 'import',
  'end.noted': 'expire',
  'end.captured': 'expire',
  'end.durable': 'expire',
  'gc.planned': 'collect collect:2',
  'gc.removing': 'collect collect:2 collect:3 collect:4',
};

const parse = (table: Readonly<Record<string, string>>): ReadonlyMap<string, readonly FailpointCase[]> =>
  new Map(
    Object.entries(table).map(([name, cases]) => [
      name,
      cases.split(' ').map((each) => {
        const [operation = '', count = '1'] = each.split(':');
        return { operation, count: Number(count) };
      }),
    ]),
  );

/** Places in the store, tried without a VM. */
export const STORE_FAILPOINTS = parse(store);
/** Places in the host, tried with real VMs. */
export const HOST_FAILPOINTS = parse(host);
/** Places in parts of the host that are tried without a VM. */
export const PART_FAILPOINTS = parse(part);
