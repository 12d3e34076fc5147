/**
 * What a snapshot costs on its way: a branch that follows its base into a registry, and a snapshot that is fetched and checked.
 *
 *   sent       bytes through a proxy, beside the chunks of what the branch has of its own: device state, top layer, the top two of its disk
 *   fetched    a pull, every blob checked and unpacked into files, beside `sha256sum` and `zstd -d` of the same blobs
 *
 * For orientation also what people wait for: the same bytes taken in by the daemon, which checks what came out, starts it, and captures it
 * with a secret of its own.
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { MiB, monotonicMs, ResourceStack } from '../base/index.js';
import { IncomingSnapshot, pullSnapshot, pushSnapshot, remoteOf, type SnapshotConfig } from '../hub/index.js';
import { discard, freshTag, measureBranch, untilDurable, withSandbox, type BenchContext } from './context.js';
import { countingProxy, type CountingProxy } from './counting-proxy.js';
import { sandboxGuest } from './guest.js';
import { startLocalRegistry } from './local-registry.js';
import { formatMs, ratioVerdict, reached, type Section } from './section.js';
import { median } from './statistics.js';
import { timed } from './turns.js';

const WRITTEN_MIB = 16;
const MAX_SENT_RATIO = 1.2;
const MAX_PULL_RATIO = 2;
const ANYBODY = { keyring: { trusted: new Map<string, never>() }, allowUnsigned: true };

const columns = [
  ...(['round', 'sent_bytes', 'own_bytes', 'pull_ms', 'unpack_ms'] as const),
  ...(['sha256sum_ms', 'zstd_ms', 'import_ms'] as const),
] as const;
type Row = Readonly<Record<(typeof columns)[number], number>>;

interface Ground {
  readonly context: BenchContext;
  readonly dir: string;
  readonly proxy: CountingProxy;
}

export async function benchHub(context: BenchContext): Promise<Section> {
  await using resources = new ResourceStack();
  const dir = await mkdtemp(join(tmpdir(), 'bough-bench-hub-'));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  const address = await startLocalRegistry(join(dir, 'registry'), resources, context.signal);
  const proxy = await countingProxy(address);
  resources.defer(() => proxy.close());
  const ground = { context, dir, proxy };
  await push(ground, context.sourceTag);
  const rows: Row[] = [];
  await withSandbox(context, context.sourceTag, async ({ id }) => {
    for (let round = 1; round <= context.iterations; round++) {
      rows.push({ round, ...(await attempt(ground, id)) });
      context.say(`hub: ${round} of ${context.iterations}`);
    }
  });
  return section(context, rows);
}

async function attempt(ground: Ground, id: string): Promise<Omit<Row, 'round'>> {
  const { context } = ground;
  const { client, signal } = context;
  const write = `head -c ${WRITTEN_MIB * MiB} /dev/urandom > /root/bench; sync`;
  await sandboxGuest(client, id, signal).exec(['sh', '-c', write]);
  const tag = freshTag();
  await measureBranch(context, id, { mode: 'live', wait: true, tag });
  try {
    await untilDurable(context, tag);
    ground.proxy.take();
    await push(ground, tag);
    const { sentBytes } = ground.proxy.take();
    return { sent_bytes: sentBytes, ...(await fetched(ground, tag)) };
  } finally {
    await discard(context, tag);
  }
}

async function push({ context, dir, proxy }: Ground, tag: string): Promise<void> {
  const { client, signal } = context;
  const remote = remoteOf(`${proxy.address}/bench/snapshots:${tag}`);
  await pushSnapshot(client.snapshots.export(tag, { signal }), remote, {
    workDir: join(dir, 'work'),
    signal,
  });
}

async function fetched(ground: Ground, tag: string): Promise<Omit<Row, 'round' | 'sent_bytes'>> {
  const { context, dir, proxy } = ground;
  const { client, signal } = context;
  const workDir = join(dir, 'work');
  const remote = remoteOf(`${proxy.address}/bench/snapshots:${tag}`);
  const checked = await pulledAndUnpacked(ground, remote);
  // It is there still: only the daemon's part is left.
  await using pulled = await pullSnapshot(remote, { workDir, signal });
  const name = freshTag();
  const import_ms = await timed(() =>
    client.snapshots.import(pulled.bytes, { tag: name, allowUnsigned: true, signal }),
  );
  await discard(context, name);
  await pulled.forget();
  return { ...checked, import_ms };
}

async function pulledAndUnpacked(
  { dir, context: { signal } }: Ground,
  remote: ReturnType<typeof remoteOf>,
): Promise<Omit<Row, 'round' | 'sent_bytes' | 'import_ms'>> {
  const workDir = join(dir, 'work');
  const began = monotonicMs();
  await using pulled = await pullSnapshot(remote, { workDir, signal });
  const pull_ms = monotonicMs() - began;
  const target = join(dir, 'unpacked');
  await mkdir(target);
  const unpack_ms = await timed(async () => {
    const incoming = await IncomingSnapshot.open(pulled.bytes, ANYBODY);
    await incoming.unpack({
      vmstatePath: join(target, 'vmstate'),
      memoryPath: (index) => join(target, `memory-${index}`),
      diskPath: (index) => join(target, `disk-${index}`),
    });
  });
  await rm(target, { recursive: true });
  const { paths, ownBytes } = await chunksOf(join(workDir, 'arriving/blobs/sha256'), pulled.digest);
  const raw = join(dir, 'raw');
  const sha256sum_ms = await timed(() => execa('sha256sum', paths, { cancelSignal: signal }));
  const zstd_ms = await timed(() =>
    execa('zstd', ['-d', '-q', '-c', ...paths], {
      stdout: { file: raw },
      cancelSignal: signal,
      buffer: false,
    }),
  );
  await rm(raw);
  return { own_bytes: ownBytes, pull_ms, unpack_ms, sha256sum_ms, zstd_ms };
}

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string; readonly size: number }[];
}

/** The chunks in `blobs`, each once, and how many bytes those of what is the snapshot's own have. */
async function chunksOf(blobs: string, digest: string): Promise<{ paths: string[]; ownBytes: number }> {
  const path = (of: string): string => join(blobs, of.replace('sha256:', ''));
  const read = async (of: string): Promise<unknown> => JSON.parse(await readFile(path(of), 'utf8'));
  const { config, layers } = (await read(digest)) as Manifest;
  const { vmstate, memory, disks, chunkBytes } = (await read(config.digest)) as SnapshotConfig;
  const files = [[[0, vmstate.bytes] as const], ...[...memory, ...disks].map(({ runs }) => runs)];
  const last = memory.length + disks.length;
  // A branch freezes the disk that its source wrote, and has what was written since on top of it.
  const own = new Set([0, memory.length, last - 1, last]);
  let at = 0;
  let ownBytes = 0;
  for (const [index, runs] of files.entries()) {
    const count = Math.ceil(runs.reduce((sum, [, length]) => sum + length, 0) / chunkBytes);
    const chunks = layers.slice(at, (at += count));
    if (own.has(index)) ownBytes += chunks.reduce((sum, { size }) => sum + size, 0);
  }
  return { paths: [...new Set(layers.map((layer) => path(layer.digest)))], ownBytes };
}

function section({ sourceTag }: BenchContext, rows: readonly Row[]): Section {
  const of = (value: (row: Row) => number): number => median(rows.map(value));
  const sent = of(({ sent_bytes, own_bytes }) => sent_bytes / own_bytes);
  const hand = ({ sha256sum_ms, zstd_ms }: Row): number => sha256sum_ms + zstd_ms;
  const mib = (bytes: number): string => (bytes / MiB).toFixed(1);
  return {
    name: 'hub',
    title: 'Snapshots by way of a registry on this host',
    conditions: [
      `branches of ${sourceTag} in a row, ${WRITTEN_MIB} MiB of noise written to the disk before each; n = ${rows.length}`,
    ],
    tables: [
      {
        title: 'Medians',
        columns: ['', 'value'],
        rows: [
          ['sent of a branch after its base, MiB', mib(of((row) => row.sent_bytes))],
          ['what it has of its own, compressed, MiB', mib(of((row) => row.own_bytes))],
          ['pull, ms', formatMs(of((row) => row.pull_ms))],
          ['check and unpack, ms', formatMs(of((row) => row.unpack_ms))],
          ['sha256sum of the same, ms', formatMs(of((row) => row.sha256sum_ms))],
          ['zstd -d of the same, ms', formatMs(of((row) => row.zstd_ms))],
          ['taken in by the daemon and started, ms', formatMs(of((row) => row.import_ms))],
        ],
      },
    ],
    verdicts: reached([
      ratioVerdict(`bytes sent ≤ ${MAX_SENT_RATIO} × its own, compressed`, sent, 1, MAX_SENT_RATIO),
      ratioVerdict(
        `pull, checked and unpacked, p50 ≤ ${MAX_PULL_RATIO} × sha256sum and zstd -d`,
        of((row) => (row.pull_ms + row.unpack_ms) / hand(row)),
        1,
        MAX_PULL_RATIO,
      ),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
