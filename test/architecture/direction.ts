/**
 * The direction of imports between the folders of the project, and the edges that break it.
 *
 *   contract, base ◀─ qmp, pager, agent, store, image, network ◀─ vmm ◀─ sandbox ◀─ daemon ◀─ cli
 *   store ◀─ hub ◀─ sandbox, cli, bench
 *   contract ◀─ sdk ◀─ bench ◀─ cli          src ◀─ test/support ◀─ test/faults ◀─ test/…          src, test ◀─ scripts
 *
 * A folder may import those that its row names, and itself. Tests beside their source may also import
 * test/support.
 */
import { edgesOf, type Edge } from './edges.js';
import type { SourceFile } from './sources.js';

const FOUNDATION = ['src/contract', 'src/base'];
const LEAVES = ['src/qmp', 'src/pager', 'src/agent', 'src/store', 'src/image', 'src/network'];

/** For each folder, the folders it may import besides itself. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/contract': [],
  'src/base': [],
  ...Object.fromEntries(LEAVES.map((leaf) => [leaf, FOUNDATION])),
  'src/hub': [...FOUNDATION, 'src/store'],
  'src/vmm': [...FOUNDATION, ...LEAVES],
  'src/sandbox': [...FOUNDATION, ...LEAVES, 'src/hub', 'src/vmm'],
  'src/daemon': [...FOUNDATION, ...LEAVES, 'src/vmm', 'src/sandbox'],
  'src/sdk': ['src/contract'],
  // Benchmarks drive the parts below the API too, to measure beside it what they do alone.
  'src/bench': [
    ...[...FOUNDATION, 'src/sdk', 'src/agent', 'src/qmp', 'src/image', 'src/network'],
    ...['src/hub', 'src/vmm', 'src/sandbox'],
  ],
  // The command line serves, builds images, examines the host and measures.
  'src/cli': [...FOUNDATION, 'src/sdk', 'src/daemon', 'src/image', 'src/hub', 'src/vmm', 'src/bench'],
  'test/support': ['src'],
  'test/faults': ['src', 'test/support'],
  'test/architecture': ['src/contract', 'test/faults'],
  'test/contract': ['src'],
  'test/daemon': ['src', 'test/support', 'test/faults'],
  'test/sdk': ['src', 'test/support', 'test/daemon'],
  'test/scripts': ['scripts'],
  'test/host': ['src', 'test/support', 'test/faults'],
  'test/qemu10': ['src', 'test/support'],
  'test/programs': ['src', 'test/support'],
  'test/images': ['src', 'test/support'],
  'test/kvm': ['src', 'test/support'],
  'test/vm': ['src', 'test/support', 'test/faults'],
  'test/e2e': ['src', 'test/support', 'test/faults'],
  'test/chance': ['src', 'test/support', 'test/faults'],
  scripts: ['src', 'test'],
  // They use the package by its name, as anybody's programs do.
  examples: [],
};

/**
 * For each room of src/sandbox, the rooms it may import besides itself:
 *
 *   entity ◀─ disk ◀─ start, branch, adopt ◀─ timeline ◀─ upkeep ◀─ host
 *
 * What all rooms are given, the context of the host, lies in the host's room: the seam.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  entity: [],
  disk: ['entity'],
  start: ['entity', 'disk'],
  branch: ['entity', 'disk'],
  adopt: ['entity', 'disk'],
  timeline: ['entity', 'disk', 'start', 'branch'],
  upkeep: ['entity', 'disk', 'start', 'branch', 'adopt', 'timeline'],
  host: ['entity', 'disk', 'start', 'branch', 'adopt', 'timeline', 'upkeep'],
};
const SEAM = /^src\/sandbox\/host\/(context|call|failures)\.ts$/;

/** Folders that also run in a browser. */
const WITHOUT_NODE = ['src/contract', 'src/sdk'];

/** The edges of `file` that break the direction, each as a sentence. */
export function forbiddenImports(file: SourceFile): string[] {
  return edgesOf(file).flatMap((edge) => {
    const why = whyForbidden(file.path, edge);
    const verb = edge.kind === 'run' ? 'runs' : 'imports';
    return why === undefined ? [] : [`${file.path} ${verb} ${edge.specifier ?? 'what it computes'}: ${why}`];
  });
}

function whyForbidden(path: string, { specifier, target }: Edge): string | undefined {
  const from = folderOf(path);
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `folder ${from} has no place in the direction of imports`;
  if (specifier === undefined) return 'nobody can tell what that is';
  if (target === undefined) {
    const forNode = specifier.startsWith('node:') && WITHOUT_NODE.includes(from);
    return forNode ? `${from} also runs in a browser` : undefined;
  }
  if (path.endsWith('.test.ts') && target.startsWith('test/support/')) return undefined;
  const to = folderOf(target);
  if (from === 'src/sandbox' && to === from) return whyWrongRoom(path, target);
  const isAllowed = [from, ...allowed].some((each) => to === each || to.startsWith(`${each}/`));
  return isAllowed ? undefined : `${from} may not depend on ${to}`;
}

function whyWrongRoom(path: string, target: string): string | undefined {
  const [from = '', to = ''] = [path, target].map((each) => each.split('/')[2]);
  const allowed = ROOMS[from];
  if (allowed === undefined) return `room ${from} has no place in the direction of imports`;
  const isAllowed = to === from || allowed.includes(to) || SEAM.test(target) || path.endsWith('.test.ts');
  return isAllowed ? undefined : `room ${from} may not depend on room ${to}`;
}

/** `src/qmp/client.ts` → `src/qmp`; `scripts/test.mjs` → `scripts`. */
export function folderOf(path: string): string {
  const parts = path.split('/');
  return parts.slice(0, Math.min(2, parts.length - 1)).join('/');
}
