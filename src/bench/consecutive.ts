/**
 * Twenty branches of one source in a row, all of them kept: the last may not cost more than the first ones,
 * so neither layers nor overlays may pile up on the source's path.
 *
 * One branch is a noisy sample, so there are several rounds, each on a fresh source; the 20th of a round is
 * compared with the median of that round's first ten, and the median of the rounds decides. As many rounds more wait for nothing but
 * the source to run again.
 */
import { sleep } from '../base/index.js';
import { discard, freshTag, measureBranch, withSandbox, type BenchContext } from './context.js';
import { formatMs, limitVerdict, ratioVerdict, reached, type Section } from './section.js';
import { median } from './statistics.js';

const BRANCHES = 20;
const FIRST = 10;
const LIMIT = 1.3;
const BETWEEN_MS = 100;

const columns = ['round', 'wait', 'branch', 'pause_ms', 'http_round_trip_ms', 'captured_bytes'] as const;

interface Row {
  readonly round: number;
  readonly wait: boolean;
  readonly branch: number;
  readonly pause_ms: number;
  readonly http_round_trip_ms: number;
  readonly captured_bytes: number | undefined;
}

/** Runs `iterations / 10` rounds, at least one and at most five. */
export async function benchConsecutive(context: BenchContext): Promise<Section> {
  const roundCount = Math.min(5, Math.max(1, Math.round(context.iterations / 10)));
  const rows: Row[] = [];
  for (let round = 1; round <= roundCount; round++) {
    context.say(`consecutive: round ${round} of ${roundCount}`);
    for (const wait of [true, false]) rows.push(...(await runRound(context, round, wait)));
  }
  const waited = rows.filter(({ wait }) => wait);
  return {
    name: 'consecutive',
    title: `${BRANCHES} branches of one source in a row`,
    conditions: [
      `idle source ${context.sourceTag}, live, every snapshot kept`,
      `n = ${roundCount} rounds of each`,
    ],
    tables: [
      {
        title: 'Medians over the rounds, wait:true, ms',
        columns: ['branch', 'pause', 'round trip'],
        rows: [1, 2, 5, 10, 15, 20].map((branch) => [branch, ...medians(waited, branch).map(formatMs)]),
      },
    ],
    verdicts: reached([
      growthVerdict('pause', waited, 'pause_ms'),
      growthVerdict('round trip', waited, 'http_round_trip_ms'),
      laterVerdict(rows, true, 12),
      laterVerdict(rows, false, 8),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

async function runRound(context: BenchContext, round: number, wait: boolean): Promise<Row[]> {
  const tags: string[] = [];
  try {
    return await withSandbox(context, context.sourceTag, async ({ id }) => {
      const rows: Row[] = [];
      for (let branch = 1; branch <= BRANCHES; branch++) {
        const tag = freshTag();
        tags.push(tag);
        const measured = await measureBranch(context, id, { mode: 'live', wait, tag });
        rows.push({
          round,
          wait,
          branch,
          pause_ms: measured.pauseMs,
          http_round_trip_ms: measured.httpRoundTripMs,
          captured_bytes: measured.snapshot.captured_bytes,
        });
        await sleep(BETWEEN_MS, context.signal);
      }
      return rows;
    });
  } finally {
    for (const tag of tags) await discard(context, tag);
  }
}

function medians(rows: readonly Row[], branch: number): [pauseMs: number, roundTripMs: number] {
  const own = rows.filter((row) => row.branch === branch);
  return [median(own.map((row) => row.pause_ms)), median(own.map((row) => row.http_round_trip_ms))];
}

function growthVerdict(what: string, rows: readonly Row[], column: 'pause_ms' | 'http_round_trip_ms') {
  const ratios = growthRatios(
    rows.map((row) => ({ round: row.round, branch: row.branch, value: row[column] })),
  );
  const promise = `the 20th branch’s ${what} ≤ ${LIMIT} × the median of the first ten`;
  return ratioVerdict(promise, median(ratios), 1, LIMIT);
}

function laterVerdict(rows: readonly Row[], wait: boolean, limitMs: number) {
  const later = rows.filter((row) => row.wait === wait && row.branch > 1);
  const promise = `the round trip of all but the first, wait:${wait}, p50 < ${limitMs} ms`;
  return limitVerdict(promise, median(later.map((row) => row.http_round_trip_ms)), limitMs);
}

/** For each round, its last branch against the median of its first ten. */
export function growthRatios(samples: readonly { round: number; branch: number; value: number }[]): number[] {
  const rounds = new Set(samples.map(({ round }) => round));
  return [...rounds].map((round) => {
    const own = samples.filter((sample) => sample.round === round).toSorted((a, b) => a.branch - b.branch);
    return (own.at(-1)?.value ?? NaN) / median(own.slice(0, FIRST).map(({ value }) => value));
  });
}
