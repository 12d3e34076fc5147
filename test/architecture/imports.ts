/**
 * The direction of imports between the folders of src/, and the edges that break it.
 *
 *   contract, base ◀─ qmp, pager, agent, store, image ◀─ vmm ◀─ sandbox ◀─ daemon
 *   contract ◀─ sdk ◀─ cli, web
 *
 * A folder may import any folder to its left, never one beside it. Tests beside their source may also import test/support.
 */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const LEAVES = ['qmp', 'pager', 'agent', 'store', 'image'];
const FOUNDATION = ['contract', 'base'];

/** For each folder of src/, the folders it may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  base: [],
  ...Object.fromEntries(LEAVES.map((leaf) => [leaf, FOUNDATION])),
  vmm: [...FOUNDATION, ...LEAVES],
  sandbox: [...FOUNDATION, ...LEAVES, 'vmm'],
  daemon: [...FOUNDATION, ...LEAVES, 'vmm', 'sandbox'],
  sdk: ['contract'],
  web: ['contract', 'sdk'],
  // The command line serves, builds images and examines the host itself.
  cli: ['contract', 'sdk', 'base', 'daemon', 'image', 'vmm'],
  // Benchmarks drive the parts below the API too, to measure beside it what they do alone.
  bench: ['contract', 'sdk', 'base', 'agent', 'qmp', 'image', 'vmm', 'sandbox', 'cli'],
};

/** Folders that also run in a browser. */
const WITHOUT_NODE = ['contract', 'sdk', 'web'];

/** A source file by its path from the project's root, such as `src/qmp/client.ts`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Every TypeScript file below `folder` of the project. */
export async function readSources(projectDir: string, folder: string): Promise<SourceFile[]> {
  const names = await readdir(join(projectDir, folder), { recursive: true });
  const paths = names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name));
  return Promise.all(
    paths.map(async (path) => ({ path, text: await readFile(join(projectDir, path), 'utf8') })),
  );
}

/** The edges of `file` that break the direction, each as a sentence. */
export function forbiddenImports(file: SourceFile): string[] {
  const specifiers = ts.preProcessFile(file.text, true, true).importedFiles.map((each) => each.fileName);
  return specifiers.flatMap((specifier) => {
    const why = whyForbidden(file.path, specifier);
    return why === undefined ? [] : [`${file.path} imports ${specifier}: ${why}`];
  });
}

function whyForbidden(path: string, specifier: string): string | undefined {
  const from = folderOf(path);
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `folder ${from} has no place in the direction of imports`;
  if (!specifier.startsWith('.')) {
    const forNode = specifier.startsWith('node:') && WITHOUT_NODE.includes(from);
    return forNode ? `${from} also runs in a browser` : undefined;
  }
  const target = join(dirname(path), specifier);
  if (path.endsWith('.test.ts') && target.startsWith('test/support/')) return undefined;
  if (!target.startsWith('src/')) return 'sources import sources only';
  const to = folderOf(target);
  return to === from || allowed.includes(to) ? undefined : `${from} may not depend on ${to}`;
}

/** `src/qmp/client.ts` → `qmp`. */
function folderOf(path: string): string {
  return path.split('/')[1] ?? '';
}
