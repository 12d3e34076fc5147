/**
 * A long history of one guest: branches in a row, all of them kept, between which a small part of what the guest has touched is
 * rewritten. Each may cost what changed since the one before, and not what was ever touched.
 */
import { MiB, monotonicMs } from '../base/index.js';
import { discard, freshTag, measureBranch, withSandbox, type BenchContext } from './context.js';
import { measureDiskHistory, WRITTEN_MIB } from './disk-history.js';
import { sandboxGuest } from './guest.js';
import { formatMs, formatRatio, ratioVerdict, reached, type Section } from './section.js';
import { median } from './statistics.js';

const TOUCHED_MIB = 512;
const REWRITTEN_MIB = 8;
/** What one branch may hold besides: what the guest and its agent write while they are asked. */
const SLACK_MIB = 4;
const CAPTURED_LIMIT = 1.5;
const START_LIMIT = 1.3;
const DISK_LIMIT = 4;
/** Children of each end of the history. */
const STARTS = 5;

const columns = [
  'branch',
  'captured_bytes',
  'rewritten_bytes',
  'pause_ms',
  'http_round_trip_ms',
  'layers',
  'disk_bytes',
] as const;

type Row = Readonly<Record<Exclude<(typeof columns)[number], 'disk_bytes'>, number>>;

/** `iterations` branches, the first of which holds all that was touched. */
export async function benchHistory(context: BenchContext): Promise<Section> {
  const tags: string[] = [];
  try {
    const rows = await withSandbox(context, context.sourceTag, ({ id }) => branchAll(context, id, tags));
    const starts = await startsOf(context, [tags[0] ?? '', tags.at(-1) ?? '']);
    return section(rows, starts, await measureDiskHistory(context));
  } finally {
    for (const tag of tags) await discard(context, tag);
  }
}

async function branchAll(context: BenchContext, id: string, tags: string[]): Promise<Row[]> {
  const { client, signal, iterations } = context;
  const guest = sandboxGuest(client, id, signal);
  await guest.eval(`globals().update(bench=np.full(${TOUCHED_MIB} << 20, 1, np.uint8))`);
  const rows: Row[] = [];
  for (let branch = 1; branch <= Math.max(2, iterations); branch++) {
    const at = ((branch * REWRITTEN_MIB) % (TOUCHED_MIB - REWRITTEN_MIB)) * MiB;
    await guest.eval(`bench[${at}:${at + REWRITTEN_MIB * MiB}].fill(${branch % 256})`);
    const tag = freshTag();
    tags.push(tag);
    const measured = await measureBranch(context, id, { mode: 'live', wait: true, tag });
    rows.push({
      branch,
      captured_bytes: measured.snapshot.captured_bytes ?? Infinity,
      rewritten_bytes: REWRITTEN_MIB * MiB,
      pause_ms: measured.pauseMs,
      http_round_trip_ms: measured.httpRoundTripMs,
      layers: (await client.snapshots.info(tag)).chain_depth,
    });
    if (branch % 10 === 0) context.say(`history: ${branch} of ${iterations} branches`);
  }
  return rows;
}

/** For each snapshot, how long each of its children took to start; in turns. */
async function startsOf({ client, signal }: BenchContext, tags: readonly string[]): Promise<number[][]> {
  const starts: number[][] = tags.map(() => []);
  for (let round = 0; round < STARTS; round++) {
    for (const [index, tag] of tags.entries()) {
      const began = monotonicMs();
      const [child] = await client.sandboxes.spawn({ snapshot_tag: tag }, { signal });
      starts[index]?.push(monotonicMs() - began);
      if (child !== undefined) await client.sandboxes.delete(child.id);
    }
  }
  return starts;
}

function section(
  rows: readonly Row[],
  [first = [], last = []]: readonly number[][],
  diskBytes: readonly number[],
): Section {
  const later = rows.slice(1);
  const allowedBytes = (CAPTURED_LIMIT * REWRITTEN_MIB + SLACK_MIB) * MiB;
  const most = Math.max(...later.map((row) => row.captured_bytes));
  const whole = rows[0];
  return {
    name: 'history',
    title: `${rows.length} branches in a row of a guest that rewrites ${REWRITTEN_MIB} MiB between two`,
    conditions: [
      `${TOUCHED_MIB} MiB touched; live, wait:true; every snapshot kept`,
      `most memory layers of one: ${Math.max(...rows.map(({ layers }) => layers))}; n = ${STARTS} children of each end`,
    ],
    tables: [
      {
        title: 'The first branch, and the others',
        columns: ['', 'captured, MiB', 'pause p50, ms', 'round trip p50, ms'],
        rows: [
          ['first', ...cells(rows.slice(0, 1))],
          ['later', ...cells(later)],
          ['most', mib(most), '', ''],
        ],
      },
      {
        title: `On disk, of ${diskBytes.length} branches with a file of ${WRITTEN_MIB} MiB before each, MiB`,
        columns: ['mean', 'p50', 'most'],
        rows: [[sum(diskBytes) / diskBytes.length, median(diskBytes), Math.max(...diskBytes)].map(mib)],
      },
    ],
    verdicts: reached([
      {
        promise: `captured of each later one ≤ ${CAPTURED_LIMIT} × what was rewritten + ${SLACK_MIB} MiB`,
        measured: `${formatRatio(most / allowedBytes)} of that at most`,
        held: most <= allowedBytes,
        decides: true,
      },
      ratioVerdict(
        'a later round trip, p50 ≤ 1/10 of the first, which captures everything',
        median(later.map((row) => row.http_round_trip_ms)),
        whole?.http_round_trip_ms,
        1 / 10,
      ),
      ratioVerdict(
        `a child of the last starts in ≤ ${START_LIMIT} × the time of one of the first`,
        median(last),
        median(first),
        START_LIMIT,
      ),
      ratioVerdict(
        `on disk, all together ≤ ${DISK_LIMIT} × what was written`,
        sum(diskBytes),
        diskBytes.length * WRITTEN_MIB * MiB,
        DISK_LIMIT,
      ),
    ]),
    csv: { columns, rows: rows.map((row, index) => ({ ...row, disk_bytes: diskBytes[index] })) },
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const mib = (bytes: number): string => (bytes / MiB).toFixed(1);

function cells(rows: readonly Row[]): string[] {
  return [
    mib(median(rows.map((row) => row.captured_bytes))),
    formatMs(median(rows.map((row) => row.pause_ms))),
    formatMs(median(rows.map((row) => row.http_round_trip_ms))),
  ];
}
