/**
 * What going back in place costs: from the request until the sandbox has answered a command again, beside a spawn of the same snapshot. All
 * that a rollback does besides may cost little: keep the state of before, and put the new VM in the place of the one there was.
 *
 * The three take turns, so that whatever slows the host slows all of them.
 */
import { monotonicMs } from '../base/index.js';
import { discard, failureWords, freshTag, measureBranch, withSandbox, type BenchContext } from './context.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize } from './statistics.js';

const LIMIT = 1.15;
const ways = ['spawn', 'rollback', 'rollback without keeping'] as const;
type Way = (typeof ways)[number];

const columns = ['round', 'way', 'first_answer_ms', 'error'] as const;

interface Row {
  readonly round: number;
  readonly way: Way;
  readonly first_answer_ms?: number;
  readonly error?: string;
}

/** `iterations` of each. */
export async function benchRollback(context: BenchContext): Promise<Section> {
  const tag = freshTag();
  const rows: Row[] = [];
  try {
    await withSandbox(context, context.sourceTag, async ({ id }) => {
      await measureBranch(context, id, { mode: 'live', wait: true, tag });
      for (let round = 1; round <= context.iterations; round++) {
        for (const way of ways) rows.push({ round, way, ...(await attempt(context, id, tag, way)) });
        if (round % 5 === 0) context.say(`rollback: ${round} of ${context.iterations}`);
      }
    });
  } finally {
    await discard(context, tag);
  }
  return section(context, rows);
}

async function attempt(
  context: BenchContext,
  id: string,
  tag: string,
  way: Way,
): Promise<Pick<Row, 'first_answer_ms' | 'error'>> {
  const { client, signal } = context;
  const began = monotonicMs();
  let spawned: string | undefined;
  let kept: string | undefined;
  try {
    if (way === 'spawn') spawned = (await client.sandboxes.spawn({ snapshot_tag: tag }, { signal }))[0]?.id;
    else {
      const done = await client.sandboxes.timeline(id).rollback(tag, { keep: way === 'rollback' });
      kept = done.kept?.tag;
    }
    const { exit_code } = await client.sandboxes.exec(spawned ?? id, { args: ['/bin/true'] }, { signal });
    return exit_code === 0
      ? { first_answer_ms: monotonicMs() - began }
      : { error: `/bin/true ended with ${exit_code}` };
  } catch (error) {
    if (signal.aborted) throw error;
    return { error: failureWords(error) };
  } finally {
    if (spawned !== undefined) await client.sandboxes.delete(spawned);
    if (kept !== undefined) await discard(context, kept);
  }
}

function section({ sourceTag }: BenchContext, rows: readonly Row[]): Section {
  const of = (way: Way) => summarize(rows.filter((row) => row.way === way).map((row) => row.first_answer_ms));
  const spawn = of('spawn');
  return {
    name: 'rollback',
    title: 'Going back in place, beside a spawn of the same snapshot',
    conditions: [`a branch of ${sourceTag}; the command is /bin/true through the API; the three in turns`],
    tables: [
      {
        title: 'From the request to the first answered command, ms',
        columns: ['', ...summaryColumns],
        rows: ways.map((way) => {
          const summary = of(way);
          return summary === undefined ? [way] : [way, ...summaryCells(summary)];
        }),
      },
    ],
    verdicts: reached(
      ways
        .slice(1)
        .map((way) => ratioVerdict(`${way}, p50 ≤ ${LIMIT} × the spawn`, of(way)?.p50, spawn?.p50, LIMIT)),
    ),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
