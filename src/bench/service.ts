/**
 * The first query that a child of a running server answers, beside its second: what a service that was captured at rest has to catch up with.
 *
 * Beside it a program that does nothing, first and again in a child of its own: under software emulation a new VM translates each program
 * anew, whatever the program is.
 */
import { monotonicMs } from '../base/index.js';
import { discard, failureWords, freshTag, type BenchContext } from './context.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize, type Summary } from './statistics.js';

const IMAGE = 'postgres';
const LIMIT = 3;
const QUERY = { args: ['psql', '-qAtc', 'select count(*) from pg_class'], user: 'postgres' };
const NOTHING = { args: ['true'], user: 'postgres' };
const programs = { query: QUERY, nothing: NOTHING };
type Program = keyof typeof programs;

const columns = ['round', 'program', 'first_ms', 'second_ms', 'error'] as const;

interface Row {
  readonly round: number;
  readonly program: Program;
  readonly first_ms?: number;
  readonly second_ms?: number;
  readonly error?: string;
}

export async function benchService(context: BenchContext): Promise<Section> {
  const { client, signal, say } = context;
  const tag = freshTag();
  say(`service: booting image ${IMAGE}`);
  await client.snapshots.create({ tag, image: IMAGE, start: true }, { signal });
  const rows: Row[] = [];
  try {
    for (let round = 1; round <= context.iterations; round++)
      for (const program of ['query', 'nothing'] as const)
        rows.push({ round, program, ...(await attempt(context, tag, program)) });
  } finally {
    await discard(context, tag);
  }
  return section(rows);
}

async function attempt(
  { client, signal }: BenchContext,
  tag: string,
  program: Program,
): Promise<Pick<Row, 'first_ms' | 'second_ms' | 'error'>> {
  const [child] = await client.sandboxes.spawn({ snapshot_tag: tag });
  if (child === undefined) return { error: 'The daemon answered a spawn with no sandbox' };
  const run = async (): Promise<number> => {
    const began = monotonicMs();
    const { exit_code, stderr } = await client.sandboxes.exec(child.id, programs[program], { signal });
    if (exit_code !== 0) throw new Error(`ended with ${exit_code}: ${stderr}`);
    return monotonicMs() - began;
  };
  try {
    return { first_ms: await run(), second_ms: await run() };
  } catch (error) {
    if (signal.aborted) throw error;
    return { error: failureWords(error) };
  } finally {
    await client.sandboxes.delete(child.id);
  }
}

function section(rows: readonly Row[]): Section {
  const of = (program: Program, which: 'first_ms' | 'second_ms') =>
    summarize(rows.filter((row) => row.program === program).map((row) => row[which]));
  const [first, second] = [of('query', 'first_ms'), of('query', 'second_ms')];
  const line = (name: string, summary: Summary | undefined) =>
    summary === undefined ? [] : [[name, ...summaryCells(summary)]];
  return {
    name: 'service',
    title: 'The first query that a child of a running server answers',
    conditions: [
      `image ${IMAGE}, started and captured at rest; the query is psql, as a program through the API`,
    ],
    tables: [
      {
        title: 'From the request to its end, ms',
        columns: ['', ...summaryColumns],
        rows: [
          ...line('query, first', first),
          ...line('query, second', second),
          ...line('a program that does nothing, first', of('nothing', 'first_ms')),
          ...line('a program that does nothing, second', of('nothing', 'second_ms')),
        ],
      },
    ],
    verdicts: reached([
      ratioVerdict(`a child’s first query, p50 ≤ ${LIMIT} × its second`, first?.p50, second?.p50, LIMIT),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
