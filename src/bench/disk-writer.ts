/**
 * A guest that writes its disk without rest, in each of several ways: what a branch costs it.
 *
 * Memory that was dirtied before makes the pre-copy long. What is written to the disk meanwhile must not show in the pause.
 */
import {
  discard,
  failureWords,
  freshTag,
  measureBranch,
  poll,
  withSandbox,
  type BenchContext,
} from './context.js';
import { diskWriterProgram, parseWritten, startProgram, type Written } from './guest-programs.js';
import { sandboxGuest, type Guest } from './guest.js';
import { pauseParts } from './pause-row.js';
import {
  formatMs,
  limitVerdict,
  reached,
  summaryCells,
  summaryColumns,
  type Cell,
  type Section,
} from './section.js';
import { summarize } from './statistics.js';

/** How the program writes: in order or anywhere, so much at a time, and whether past the guest's page cache or synced each time. */
const WAYS = [
  ['sequential', 'order', 1 << 20, 'cached'],
  ['sequential, fsync', 'order', 1 << 20, 'fsync'],
  ['sequential, O_DIRECT', 'order', 1 << 20, 'direct'],
  ['random', 'anywhere', 64 << 10, 'cached'],
  ['random, fsync', 'anywhere', 16 << 10, 'fsync'],
  ['random, O_DIRECT', 'anywhere', 16 << 10, 'direct'],
] as const;
const FILE_MIB = 128;
const DIRTY_MIB = 256;
const FILE_PATH = '/root/bench-disk';
const PROGRESS_PATH = '/run/bench-disk';
const BEGIN_DEADLINE_MS = 60_000;
const PAUSE_LIMIT_MS = 10;

const columns = [
  'way',
  'iteration',
  'pause_ms',
  'completion_ms',
  ...pauseParts.map(([column]) => column),
  'error',
] as const;

type Row = { readonly way: string; readonly iteration: number } & Readonly<
  Partial<Record<(typeof columns)[number], number | string>>
>;

export async function benchDiskWriter(context: BenchContext): Promise<Section> {
  const rows: Row[] = [];
  const rates = new Map<string, number>();
  for (const [way, ...how] of WAYS) {
    await withSandbox(context, context.sourceTag, async ({ id }) => {
      const guest = sandboxGuest(context.client, id, context.signal);
      await startProgram(guest, diskWriterProgram, DIRTY_MIB, FILE_PATH, FILE_MIB, ...how, PROGRESS_PATH);
      await untilWriting(context, guest);
      for (let iteration = 1; iteration <= context.iterations; iteration++)
        rows.push({ way, iteration, ...(await oneBranch(context, id)) });
      const { writtenMiB, seconds } = await untilWriting(context, guest);
      rates.set(way, writtenMiB / seconds);
      context.say(`disk-writer: ${way}`);
    });
  }
  return section(context, rows, rates);
}

async function oneBranch(context: BenchContext, sourceId: string): Promise<Omit<Row, 'way' | 'iteration'>> {
  const tag = freshTag();
  try {
    const branch = await measureBranch(context, sourceId, { mode: 'live', wait: true, tag });
    return {
      pause_ms: branch.pauseMs,
      completion_ms: branch.completionMs,
      ...context.pauseParts(tag),
    };
  } catch (error) {
    context.signal.throwIfAborted();
    return { error: failureWords(error) };
  } finally {
    await discard(context, tag);
  }
}

function untilWriting({ signal }: BenchContext, guest: Guest): Promise<Written> {
  return poll(200, BEGIN_DEADLINE_MS, signal, async () =>
    parseWritten(await guest.exec(['/bin/sh', '-c', `cat ${PROGRESS_PATH} 2>/dev/null || true`])),
  );
}

function section(context: BenchContext, rows: readonly Row[], rates: ReadonlyMap<string, number>): Section {
  const of = (column: 'pause_ms' | 'completion_ms', way?: string) =>
    summarize(
      rows
        .filter((row) => way === undefined || row.way === way)
        .map((row) => row[column] as number | undefined),
    );
  const line = (column: 'pause_ms' | 'completion_ms', way?: string): Cell[] => {
    const summary = of(column, way);
    return summary === undefined ? [] : summaryCells(summary);
  };
  return {
    name: 'disk-writer',
    title: 'A guest that writes its disk without rest',
    conditions: [
      `source ${context.sourceTag} with ${DIRTY_MIB} MiB of memory dirtied once; the program writes ${FILE_MIB} MiB of one file over and over`,
      `live, wait:true; n = ${context.iterations} in each way, a sandbox of its own for each, the first included`,
    ],
    tables: [
      {
        title: 'Pause window, ms',
        columns: ['way of writing', 'MiB/s', ...summaryColumns],
        rows: [
          ...WAYS.map(([way]) => [way, formatMs(rates.get(way) ?? NaN), ...line('pause_ms', way)]),
          ['all', '', ...line('pause_ms')],
        ],
      },
      {
        title: 'From the request until ready, ms',
        columns: ['way of writing', ...summaryColumns],
        rows: WAYS.map(([way]) => [way, ...line('completion_ms', way)]),
      },
    ],
    verdicts: reached([
      limitVerdict(`live pause p99 < ${PAUSE_LIMIT_MS} ms, all ways`, of('pause_ms')?.p99, PAUSE_LIMIT_MS),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
