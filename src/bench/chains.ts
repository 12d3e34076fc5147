/**
 * What long histories cost: many branches of one source that writes to its disk in between, and a branch of a
 * branch of a branch.
 *
 * Each branch freezes what was written and each generation adds a layer, so without folding the last ones
 * would read through a hundred files. The last ten of a row are compared with its first ten; a line is
 * compared by what its children's starts and disk reads cost at both ends. Reads are of the same 8 MiB each
 * time, timed in the guest with its caches dropped.
 */
import { monotonicMs } from '../base/index.js';
import { discard, freshTag, measureBranch, withSandbox, type BenchContext } from './context.js';
import { sandboxGuest, type Guest } from './guest.js';
import { formatMs, ratioVerdict, reached, type Section } from './section.js';
import { median } from './statistics.js';

const ENDS = 10;
const LIMIT = 2;
const FILES = 4;
/** Snapshots kept at a time: their layers are memory. */
const KEPT = 5;

const WRITE = 'head -c 2097152 /dev/urandom > /root/chain-$1 && sync';
const READ_MS = [
  `open('/proc/sys/vm/drop_caches', 'w').write('3')`,
  `(began := __import__('time').perf_counter())`,
  `[len(open(f'/root/chain-{n}', 'rb').read()) for n in range(${FILES})]`,
  `(__import__('time').perf_counter() - began) * 1000`,
].join(', ');

const columns = ['kind', 'step', 'pause_ms', 'branch_ms', 'spawn_ms', 'read_ms', 'layers'] as const;

interface Row {
  readonly kind: 'row' | 'line';
  readonly step: number;
  readonly pause_ms: number;
  readonly branch_ms: number;
  readonly spawn_ms?: number;
  readonly read_ms: number;
  /** Memory layers the snapshot stands on, its own included. */
  readonly layers: number;
}

/** `iterations` branches in a row, and a line of half as many generations; at least 20 each. */
export async function benchChains(context: BenchContext): Promise<Section> {
  const inRow = Math.max(2 * ENDS, context.iterations);
  const generations = Math.max(2 * ENDS, Math.round(context.iterations / 2));
  const row = await measureRow(context, inRow);
  const line = await measureLine(context, generations);
  const table = (title: string, rows: readonly Row[], keys: readonly Measure[]) => ({
    title: `${title}: medians of the first and the last ${ENDS}, ms`,
    columns: ['', ...keys.map((key) => names[key])],
    rows: [
      ['first', ...keys.map((key) => formatMs(medianOf(rows.slice(0, ENDS), key)))],
      ['last', ...keys.map((key) => formatMs(medianOf(rows.slice(-ENDS), key)))],
    ],
  });
  return {
    name: 'chains',
    title: `${inRow} branches of one source in a row, and a branch of a branch ${generations} deep`,
    conditions: [
      'live, wait:true; 2 MiB written to the disk and synced before each branch',
      `${KEPT} snapshots kept at a time; most memory layers below one: ${Math.max(...line.map(({ layers }) => layers))}`,
    ],
    tables: [
      table('In a row', row, ['pause_ms', 'branch_ms', 'read_ms']),
      table('Generations', line, ['pause_ms', 'branch_ms', 'spawn_ms', 'read_ms']),
    ],
    verdicts: reached([
      growth('in a row, the branch', row, 'branch_ms'),
      growth('in a row, the source’s disk read', row, 'read_ms'),
      growth('generations, the spawn', line, 'spawn_ms'),
      growth('generations, the disk read', line, 'read_ms'),
    ]),
    csv: { columns, rows: [...row, ...line].map((each) => ({ ...each })) },
  };
}

async function measureRow(context: BenchContext, count: number): Promise<Row[]> {
  const tags: string[] = [];
  try {
    return await withSandbox(context, context.sourceTag, async ({ id }) => {
      const guest = sandboxGuest(context.client, id, context.signal);
      await writeAll(guest);
      const rows: Row[] = [];
      for (let step = 1; step <= count; step++) {
        await write(guest, step);
        const tag = freshTag();
        tags.push(tag);
        const branch = await measureBranch(context, id, { mode: 'live', wait: true, tag });
        rows.push({
          kind: 'row',
          step,
          pause_ms: branch.pauseMs,
          branch_ms: branch.completionMs,
          read_ms: await readMs(guest),
          layers: (await context.client.snapshots.info(tag)).chain_depth,
        });
        if (tags.length > KEPT) await discard(context, tags.shift() ?? '');
        if (step % ENDS === 0) context.say(`chains: ${step} of ${count} in a row`);
      }
      return rows;
    });
  } finally {
    for (const tag of tags) await discard(context, tag);
  }
}

async function measureLine(context: BenchContext, count: number): Promise<Row[]> {
  const { client, signal } = context;
  const rows: Row[] = [];
  let tag = context.sourceTag;
  let [sandbox] = await client.sandboxes.spawn({ snapshot_tag: tag }, { signal });
  try {
    for (let step = 1; step <= count && sandbox !== undefined; step++) {
      const { id } = sandbox;
      const guest = sandboxGuest(client, id, signal);
      if (step === 1) await writeAll(guest);
      await write(guest, step);
      const previous = tag;
      tag = freshTag();
      const branch = await measureBranch(context, id, { mode: 'live', wait: true, tag });
      await client.sandboxes.delete(id);
      if (previous !== context.sourceTag) await client.snapshots.delete(previous, { force: true });
      const began = monotonicMs();
      [sandbox] = await client.sandboxes.spawn({ snapshot_tag: tag }, { signal });
      const spawnMs = monotonicMs() - began;
      if (sandbox === undefined) throw new Error('The daemon answered a spawn with no sandbox');
      rows.push({
        kind: 'line',
        step,
        pause_ms: branch.pauseMs,
        branch_ms: branch.completionMs,
        spawn_ms: spawnMs,
        read_ms: await readMs(sandboxGuest(client, sandbox.id, signal)),
        layers: (await client.snapshots.info(tag)).chain_depth,
      });
      if (step % ENDS === 0) context.say(`chains: ${step} of ${count} generations`);
    }
    return rows;
  } finally {
    if (sandbox !== undefined) await client.sandboxes.delete(sandbox.id).catch(() => undefined);
    if (tag !== context.sourceTag) await discard(context, tag);
  }
}

async function writeAll(guest: Guest): Promise<void> {
  for (let file = 0; file < FILES; file++) await write(guest, file);
}

async function write(guest: Guest, step: number): Promise<void> {
  await guest.exec(['sh', '-c', WRITE, 'sh', String(step % FILES)]);
}

/** The fastest of three, in the guest. */
async function readMs(guest: Guest): Promise<number> {
  const samples: number[] = [];
  for (let sample = 0; sample < 3; sample++) samples.push(Number(await guest.eval(`[${READ_MS}][-1]`)));
  return Math.min(...samples);
}

type Measure = 'pause_ms' | 'branch_ms' | 'spawn_ms' | 'read_ms';

const names: Record<Measure, string> = {
  pause_ms: 'pause',
  branch_ms: 'branch',
  spawn_ms: 'spawn',
  read_ms: 'read of 8 MiB',
};

function medianOf(rows: readonly Row[], measure: Measure): number {
  return median(rows.map((row) => row[measure] ?? Infinity));
}

function growth(what: string, rows: readonly Row[], measure: Measure) {
  const promise = `${what} of the last ${ENDS} ≤ ${LIMIT} × that of the first ${ENDS}`;
  return ratioVerdict(
    promise,
    medianOf(rows.slice(-ENDS), measure),
    medianOf(rows.slice(0, ENDS), measure),
    LIMIT,
  );
}
