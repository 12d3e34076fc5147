/**
 * A guest that writes memory without end and checks it as it goes: what a branch costs it, and whether the child is exact.
 *
 * Exactness is checked by the guest itself. Its program knows what each page must hold before it writes it, so a page of another
 * instant is found within one pass. A child goes on where the source stood; after one whole pass of its own its count of errors is
 * the verdict on everything it was given.
 */
import { compact } from '../base/index.js';
import {
  discard,
  failureWords,
  freshTag,
  measureBranch,
  poll,
  withSandbox,
  type BenchContext,
} from './context.js';
import { startGapProbe, type GapProbe } from './gap-probe.js';
import { parseProgress, startProgram, type Progress } from './guest-programs.js';
import { sandboxGuest, type Guest } from './guest.js';
import { formatMs, reached, summaryCells, summaryColumns, type Section, type Verdict } from './section.js';
import { partColumns } from './pause-row.js';
import { median, summarize, type Summary } from './statistics.js';
import type { BenchmarkName } from './request.js';

const PROGRESS_PATH = '/run/bench-progress';
const PASS_DEADLINE_MS = 120_000;
const CHILDREN_CHECKED = 3;

const columns = [
  'iteration',
  'pause_ms',
  'completion_ms',
  'guest_gap_ms',
  'captured_bytes',
  ...partColumns,
  'child_errors',
  'error',
] as const;

type Row = { readonly iteration: number } & Readonly<
  Partial<Record<(typeof columns)[number], number | string>>
>;

/** One kind of such a guest, and what is promised of it. */
export interface SelfCheckingGuest {
  readonly name: BenchmarkName;
  readonly title: string;
  /** Python; its arguments are `programArgs` and the file it leaves its progress in. */
  readonly program: string;
  readonly programArgs: readonly number[];
  /** What one pass writes, and in what it counts errors. */
  readonly memoryMiB: number;
  readonly errorUnit: string;
  readonly promises: (times: Times) => readonly (Verdict | undefined)[];
}

/** Summaries of all branches, where there are any; ms. */
export type Times = Readonly<Record<'pause' | 'gap' | 'ready', Summary | undefined>>;

export async function benchSelfChecking(context: BenchContext, kind: SelfCheckingGuest): Promise<Section> {
  const count = Math.max(CHILDREN_CHECKED, Math.ceil(context.iterations / 2));
  return withSandbox(context, context.sourceTag, async ({ id }) => {
    const guest = sandboxGuest(context.client, id, context.signal);
    await startProgram(guest, kind.program, ...kind.programArgs, PROGRESS_PATH);
    await untilPass(context, guest, 1);
    const gapProbe = await startGapProbe(guest);
    const rows: Row[] = [];
    for (let iteration = 1; iteration <= count; iteration++) {
      context.signal.throwIfAborted();
      const checksChild = isChecked(iteration, count);
      rows.push(await oneBranch(context, id, iteration, gapProbe, checksChild));
      context.say(`${kind.name}: iteration ${iteration} of ${count}`);
    }
    return section(context, kind, rows, await progress(guest));
  });
}

/** The first branch, the last one, and one between get a child each. */
function isChecked(iteration: number, count: number): boolean {
  return [1, Math.ceil(count / 2), count].includes(iteration);
}

async function oneBranch(
  context: BenchContext,
  sourceId: string,
  iteration: number,
  gapProbe: GapProbe,
  checksChild: boolean,
): Promise<Row> {
  const tag = freshTag();
  try {
    const { result: branch, gapMs } = await gapProbe.during(() =>
      measureBranch(context, sourceId, { mode: 'live', wait: false, tag }),
    );
    const errors = checksChild ? await errorsOfChild(context, tag) : undefined;
    return {
      iteration,
      pause_ms: branch.pauseMs,
      completion_ms: branch.completionMs,
      guest_gap_ms: gapMs,
      ...context.pauseParts(tag),
      ...compact({ captured_bytes: branch.snapshot.captured_bytes, child_errors: errors }),
    };
  } catch (error) {
    if (context.signal.aborted) throw error;
    return { iteration, error: failureWords(error) };
  } finally {
    await discard(context, tag);
  }
}

/** Errors a child of the snapshot has found once it has checked all it was given. */
async function errorsOfChild(context: BenchContext, tag: string): Promise<number> {
  const { client, signal } = context;
  const [child] = await client.sandboxes.spawn({ snapshot_tag: tag }, { signal });
  if (child === undefined) throw new Error('The daemon answered a spawn with no sandbox');
  try {
    const guest = sandboxGuest(client, child.id, signal);
    const found = (await progress(guest))?.passes ?? 0;
    return (await untilPass(context, guest, found + 2)).errors;
  } finally {
    await client.sandboxes.delete(child.id);
  }
}

function untilPass({ signal }: BenchContext, guest: Guest, passes: number): Promise<Progress> {
  return poll(500, PASS_DEADLINE_MS, signal, async () => {
    const now = await progress(guest);
    return now !== undefined && now.passes >= passes ? now : undefined;
  });
}

async function progress(guest: Guest): Promise<Progress | undefined> {
  return parseProgress(await guest.exec(['/bin/sh', '-c', `cat ${PROGRESS_PATH} 2>/dev/null || true`]));
}

function section(
  context: BenchContext,
  kind: SelfCheckingGuest,
  rows: readonly Row[],
  source: Progress | undefined,
): Section {
  const of = (column: 'pause_ms' | 'completion_ms' | 'guest_gap_ms') =>
    summarize(rows.map((row) => row[column] as number | undefined));
  const times: Times = { pause: of('pause_ms'), gap: of('guest_gap_ms'), ready: of('completion_ms') };
  const rate =
    source === undefined ? 'unknown' : ((source.passes * kind.memoryMiB) / source.seconds).toFixed(0);
  return {
    name: kind.name,
    title: kind.title,
    conditions: [
      `source ${context.sourceTag}; ${rate} MiB/s checked and written; live, wait:false`,
      `n = ${rows.length}, the first included; ${CHILDREN_CHECKED} children run until they have checked all ${kind.memoryMiB} MiB`,
      ...partWords(rows),
    ],
    tables: [
      {
        title: 'Times, ms',
        columns: ['what', ...summaryColumns],
        rows: (
          [
            ['pause window', times.pause],
            ['longest gap on the guest’s clock', times.gap],
            ['from the request until ready', times.ready],
          ] as const
        ).map(([what, summary]) => [what, ...(summary === undefined ? [] : summaryCells(summary))]),
      },
    ],
    verdicts: reached([exactVerdict(kind, rows, source), ...kind.promises(times)]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

/** Where the pause went, in the middle; nothing without a log to read it from. */
function partWords(rows: readonly Row[]): string[] {
  const middle = (column: (typeof partColumns)[number]): number =>
    median(rows.map((row) => row[column]).filter((value) => typeof value === 'number'));
  if (rows.every((row) => row.residue_pages === undefined)) return [];
  const armed = rows.filter((row) => Number(row.armed_pages) > 0).length;
  return [
    `pause, p50 of each: stop ${formatMs(middle('stop_ms'))}, scan ${formatMs(middle('scan_ms'))}, copy ` +
      `${formatMs(middle('copy_ms'))}, from the stop on ${formatMs(middle('state_ms'))} ms; residue ` +
      `${middle('residue_pages')} pages, armed in ${armed} of ${rows.length}`,
  ];
}

function exactVerdict(kind: SelfCheckingGuest, rows: readonly Row[], source: Progress | undefined): Verdict {
  const checked = rows.filter((row) => row.child_errors !== undefined);
  const wrong = checked.reduce((sum, row) => sum + Number(row.child_errors), source?.errors ?? NaN);
  return {
    promise: 'every child checked, and the source, hold exactly one instant',
    measured: `${checked.length} children, ${wrong} ${kind.errorUnit} wrong`,
    held: wrong === 0 && checked.length === CHILDREN_CHECKED,
    decides: true,
  };
}
