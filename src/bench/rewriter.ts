/**
 * A guest that rewrites 400 MiB without end: what a branch costs it, and whether the child is exact.
 *
 * Exactness is checked by the guest itself. Its program knows what each MiB must hold before it writes it, so a page of another
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
import { parseProgress, rewriterProgram, startProgram, type RewriterProgress } from './guest-programs.js';
import { sandboxGuest, type Guest } from './guest.js';
import {
  limitVerdict,
  reached,
  summaryCells,
  summaryColumns,
  type Section,
  type Verdict,
} from './section.js';
import { summarize } from './statistics.js';

const REWRITTEN_MIB = 400;
const PROGRESS_PATH = '/run/bench-rewriter';
const PASS_DEADLINE_MS = 120_000;
const CHILDREN_CHECKED = 3;

const columns = [
  'iteration',
  'pause_ms',
  'completion_ms',
  'guest_gap_ms',
  'captured_bytes',
  'child_errors_mib',
  'error',
] as const;

type Row = { readonly iteration: number } & Readonly<
  Partial<Record<(typeof columns)[number], number | string>>
>;

export async function benchRewriter(context: BenchContext): Promise<Section> {
  const count = Math.max(CHILDREN_CHECKED, Math.ceil(context.iterations / 2));
  return withSandbox(context, context.sourceTag, async ({ id }) => {
    const guest = sandboxGuest(context.client, id, context.signal);
    await startProgram(guest, rewriterProgram, REWRITTEN_MIB, PROGRESS_PATH);
    await untilPass(context, guest, 1);
    const gapProbe = await startGapProbe(guest);
    const rows: Row[] = [];
    for (let iteration = 1; iteration <= count; iteration++) {
      context.signal.throwIfAborted();
      const checksChild = isChecked(iteration, count);
      rows.push(await oneBranch(context, id, iteration, gapProbe, checksChild));
      context.say(`rewriter: iteration ${iteration} of ${count}`);
    }
    return section(context, rows, await progress(guest));
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
      ...compact({ captured_bytes: branch.snapshot.captured_bytes, child_errors_mib: errors }),
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

function untilPass({ signal }: BenchContext, guest: Guest, passes: number): Promise<RewriterProgress> {
  return poll(500, PASS_DEADLINE_MS, signal, async () => {
    const now = await progress(guest);
    return now !== undefined && now.passes >= passes ? now : undefined;
  });
}

async function progress(guest: Guest): Promise<RewriterProgress | undefined> {
  return parseProgress(await guest.exec(['/bin/sh', '-c', `cat ${PROGRESS_PATH} 2>/dev/null || true`]));
}

function section(context: BenchContext, rows: readonly Row[], source: RewriterProgress | undefined): Section {
  const of = (column: 'pause_ms' | 'completion_ms' | 'guest_gap_ms') =>
    summarize(rows.map((row) => row[column] as number | undefined));
  const [pause, gap, ready] = [of('pause_ms'), of('guest_gap_ms'), of('completion_ms')];
  const rate =
    source === undefined ? 'unknown' : ((source.passes * REWRITTEN_MIB) / source.seconds).toFixed(0);
  return {
    name: 'rewriter',
    title: `A guest that rewrites ${REWRITTEN_MIB} MiB without end`,
    conditions: [
      `source ${context.sourceTag}; ${rate} MiB/s checked and rewritten; live, wait:false`,
      `n = ${rows.length}, the first included; ${CHILDREN_CHECKED} children run until they have checked all ${REWRITTEN_MIB} MiB`,
    ],
    tables: [
      {
        title: 'Times, ms',
        columns: ['what', ...summaryColumns],
        rows: (
          [
            ['pause window', pause],
            ['longest gap on the guest’s clock', gap],
            ['from the request until ready', ready],
          ] as const
        ).map(([what, summary]) => [what, ...(summary === undefined ? [] : summaryCells(summary))]),
      },
    ],
    verdicts: reached([
      exactVerdict(rows, source),
      limitVerdict('live pause p99 < 30 ms', pause?.p99, 30),
      limitVerdict('longest gap inside the guest < 100 ms', gap?.max, 100),
      limitVerdict('ready, slowest, < 3000 ms', ready?.max, 3000),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

function exactVerdict(rows: readonly Row[], source: RewriterProgress | undefined): Verdict {
  const checked = rows.filter((row) => row.child_errors_mib !== undefined);
  const wrongMiB = checked.reduce((sum, row) => sum + Number(row.child_errors_mib), source?.errors ?? NaN);
  return {
    promise: 'every child checked, and the source, hold exactly one instant',
    measured: `${checked.length} children, ${wrongMiB} MiB wrong`,
    held: wrongMiB === 0 && checked.length === CHILDREN_CHECKED,
    decides: true,
  };
}
