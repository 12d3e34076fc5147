/**
 * How soon a program has run in a warm sandbox: through the API, against the guest agent asked by us.
 *
 * The agent's guest is the same image in stock QEMU. The two take turns, and whoever is not measured does nothing.
 */
import { monotonicMs, ResourceStack } from '../base/index.js';
import { failureWords, withSandbox, type BenchContext } from './context.js';
import { formatMs, ratioOf, formatRatio, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize } from './statistics.js';
import { bootStockPeer } from './stock-peer.js';

const ARGS = ['/bin/true'];
/** What the daemon adds to the agent's own work is to stay small against it. */
const MAX_ADDED_MS = 10;

const columns = ['way', 'round', 'ms', 'error'] as const;
const WAYS = ['agent', 'api'] as const;
type Way = (typeof WAYS)[number];

interface Row {
  readonly way: Way;
  readonly round: number;
  readonly ms?: number;
  readonly error?: string;
}

export async function benchExec(context: BenchContext): Promise<Section> {
  const { client, signal } = context;
  await using resources = new ResourceStack();
  const stock = await bootStockPeer(context, resources);
  await stock.rest();
  const rows = await withSandbox(context, context.sourceTag, async ({ id }) => {
    const measured: Row[] = [];
    for (let round = 1; round <= context.iterations; round++) {
      measured.push(await timed('api', round, () => client.sandboxes.exec(id, { args: ARGS }, { signal })));
      await stock.wake();
      measured.push(await timed('agent', round, () => stock.agent.exec({ args: ARGS })));
      await stock.rest();
    }
    return measured;
  });
  return section(context, rows);
}

async function timed(way: Way, round: number, run: () => Promise<unknown>): Promise<Row> {
  const began = monotonicMs();
  try {
    await run();
    return { way, round, ms: monotonicMs() - began };
  } catch (error) {
    return { way, round, error: failureWords(error) };
  }
}

function section({ sourceTag }: BenchContext, rows: readonly Row[]): Section {
  const summaries = WAYS.map((way) => summarize(rows.filter((row) => row.way === way).map(({ ms }) => ms)));
  const [agent, api] = summaries;
  const addedMs = agent === undefined || api === undefined ? NaN : api.p50 - agent.p50;
  const ratio = agent === undefined || api === undefined ? NaN : ratioOf(api.p50, agent.p50);
  return {
    name: 'exec',
    title: 'A program in a warm guest: through the API, and as the agent runs it',
    conditions: [`snapshot ${sourceTag}; ${ARGS.join(' ')}, one at a time, in turns`],
    tables: [
      {
        title: 'From the request to the answer, ms',
        columns: ['way', ...summaryColumns],
        rows: WAYS.flatMap((way, index) => {
          const summary = summaries[index];
          return summary === undefined ? [] : [[way, ...summaryCells(summary)]];
        }),
      },
    ],
    verdicts: [
      {
        promise: `the API adds at most ${MAX_ADDED_MS} ms to the agent’s own, at p50`,
        measured: `${formatMs(addedMs)} ms, ${formatRatio(ratio)} of it`,
        held: addedMs <= MAX_ADDED_MS,
        decides: false,
      },
    ],
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
