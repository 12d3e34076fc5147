/**
 * What importing a large image costs, beside the three programs that do its work run by hand: skopeo from a registry on the loopback,
 * umoci, mke2fs. Ours makes kernel and modules besides, and a digest of what came out.
 *
 * The image is made of programs and libraries of this host, so that it compresses as images do. Each round begins with nothing fetched.
 */
import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { MiB, ResourceStack } from '../base/index.js';
import { importImage } from '../image/index.js';
import type { BenchContext } from './context.js';
import { startLocalRegistry } from './local-registry.js';
import { formatMs, ratioVerdict, reached, type Section } from './section.js';
import { median } from './statistics.js';
import { timed } from './turns.js';

const IMAGE_MIB = 450;
const FROM = ['/usr/lib/x86_64-linux-gnu', '/usr/bin', '/usr/lib/python3', '/usr/share'];
const DISK_MIB = 2048;
const LIMIT = 1.5;

const columns = ['round', 'skopeo_ms', 'umoci_ms', 'mke2fs_ms', 'import_ms'] as const;
type Row = Readonly<Record<(typeof columns)[number], number>>;

export async function benchImport(context: BenchContext): Promise<Section> {
  await using resources = new ResourceStack();
  const dir = await mkdtemp(join(tmpdir(), 'bough-bench-import-'));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  const address = await startLocalRegistry(join(dir, 'registry'), resources, context.signal);
  const image = `${address}/large:1`;
  const mib = await makeImage(dir, image, context.signal);
  context.say(`import: an image of ${mib} MiB is in the registry`);
  const rows: Row[] = [];
  for (let round = 1; round <= context.iterations; round++) {
    const hand = await byHand(join(dir, `hand-${round}`), image, context.signal);
    rows.push({ round, ...hand, import_ms: await ours(join(dir, `cache-${round}`), image, context) });
    context.say(`import: ${round} of ${context.iterations}`);
  }
  return section(rows, mib);
}

/** Files of this host until there are enough, as an image of one layer in the registry. Returns their MiB. */
async function makeImage(dir: string, image: string, signal: AbortSignal): Promise<number> {
  const names: string[] = [];
  let bytes = 0;
  for (const from of FROM) {
    for (const entry of await readdir(from, { withFileTypes: true, recursive: true })) {
      if (bytes >= IMAGE_MIB * MiB) break;
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      bytes += (await stat(path)).size;
      names.push(path);
    }
  }
  const list = join(dir, 'files');
  await writeFile(list, names.join('\0'));
  const [layer, layout] = [join(dir, 'layer.tar'), join(dir, 'layout')];
  const run = (program: string, ...args: string[]) => execa(program, args, { cancelSignal: signal });
  await run('tar', '--create', '--null', `--files-from=${list}`, `--file=${layer}`);
  await run('umoci', 'init', '--layout', layout);
  await run('umoci', 'new', '--image', `${layout}:1`);
  await run('umoci', 'raw', 'add-layer', '--image', `${layout}:1`, layer);
  await run('skopeo', 'copy', '-q', '--dest-tls-verify=false', `oci:${layout}:1`, `docker://${image}`);
  await Promise.all([layer, layout, list].map((path) => rm(path, { recursive: true })));
  return Math.round(bytes / MiB);
}

async function byHand(
  dir: string,
  image: string,
  signal: AbortSignal,
): Promise<Omit<Row, 'round' | 'import_ms'>> {
  await mkdir(dir);
  const run = (program: string, ...args: string[]): Promise<number> =>
    timed(() => execa(program, args, { cancelSignal: signal }));
  const [layout, root, disk] = [join(dir, 'layout'), join(dir, 'root'), join(dir, 'disk')];
  const skopeo_ms = await run(
    'skopeo',
    ...['copy', '-q', '--src-tls-verify=false', `docker://${image}`, `oci:${layout}:1`],
  );
  const umoci_ms = await run('umoci', 'raw', 'unpack', '--image', `${layout}:1`, root);
  const mke2fs_ms = await run('mke2fs', '-q', '-t', 'ext4', '-d', root, disk, `${DISK_MIB}M`);
  await rm(dir, { recursive: true });
  return { skopeo_ms, umoci_ms, mke2fs_ms };
}

/** With the packages that this host has fetched: a kernel is not what is measured. */
async function ours(cacheDir: string, image: string, { signal, ...context }: BenchContext): Promise<number> {
  await mkdir(cacheDir);
  await symlink(join(context.cacheDir, 'debs'), join(cacheDir, 'debs'));
  const tookMs = await timed(() =>
    importImage(cacheDir, image, { name: 'bench-large', diskMiB: DISK_MIB, signal }),
  );
  await rm(cacheDir, { recursive: true });
  return tookMs;
}

function section(rows: readonly Row[], mib: number): Section {
  const of = (column: Exclude<keyof Row, 'round'>): number => median(rows.map((row) => row[column]));
  const handMs = median(rows.map((row) => row.skopeo_ms + row.umoci_ms + row.mke2fs_ms));
  return {
    name: 'import',
    title: 'Importing a large image from a registry on this host',
    conditions: [
      `${mib} MiB of this host’s own files in one layer; a disk of ${DISK_MIB} MiB; in turns, n = ${rows.length}`,
    ],
    tables: [
      {
        title: 'Medians, ms',
        columns: ['', 'ms'],
        rows: [
          ['skopeo copy', formatMs(of('skopeo_ms'))],
          ['umoci raw unpack', formatMs(of('umoci_ms'))],
          ['mke2fs -d', formatMs(of('mke2fs_ms'))],
          ['the three, by hand', formatMs(handMs)],
          ['bough image import', formatMs(of('import_ms'))],
        ],
      },
    ],
    verdicts: reached([ratioVerdict(`p50 ≤ ${LIMIT} × the three by hand`, of('import_ms'), handMs, LIMIT)]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
