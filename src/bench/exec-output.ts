/**
 * How fast a program's output arrives: through the API, as one JSON answer, against the stream of a guest agent that is ours.
 *
 * The agent's guest is the same image in stock QEMU. The two take turns, and whoever is not measured does nothing.
 */
import { MiB, monotonicMs, ResourceStack } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { failureWords, withSandbox, type BenchContext } from './context.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import type { StockMachine } from './stock-machine.js';
import { summarize } from './statistics.js';
import { bootStockPeer } from './stock-peer.js';

/** Below what an answer keeps, so that all of it arrives. */
const OUTPUT_MIB = 15;
const OUTPUT_BYTES = OUTPUT_MIB * MiB;
const MAX_TIME_RATIO = 1.25;
const DEADLINE_MS = 120_000;
const ARGS = [
  ...['sh', '-c'],
  `yes 'The quick brown fox jumps over the lazy dog, 0123456789' | head -c ${OUTPUT_BYTES}`,
];

const columns = ['way', 'round', 'ms', 'error'] as const;
const WAYS = ['agent', 'api'] as const;
type Way = (typeof WAYS)[number];

interface Row {
  readonly way: Way;
  readonly round: number;
  readonly ms?: number;
  readonly error?: string;
}

export async function benchExecOutput(context: BenchContext): Promise<Section> {
  await using resources = new ResourceStack();
  const stock = await bootStockPeer(context, resources);
  await stock.rest();
  const rows = await withSandbox(context, context.sourceTag, async (sandbox) => {
    const measured: Row[] = [];
    for (let round = 1; round <= context.iterations; round++) {
      measured.push(await timed('api', round, () => throughApi(context, sandbox)));
      await stock.wake();
      measured.push(await timed('agent', round, () => streamed(stock)));
      await stock.rest();
      context.say(`exec-output: ${round} of ${context.iterations}`);
    }
    return measured;
  });
  return section(context, rows);
}

async function timed(way: Way, round: number, receive: () => Promise<number>): Promise<Row> {
  const began = monotonicMs();
  try {
    const bytes = await receive();
    if (bytes !== OUTPUT_BYTES) return { way, round, error: `${bytes} bytes arrived` };
    return { way, round, ms: monotonicMs() - began };
  } catch (error) {
    return { way, round, error: failureWords(error) };
  }
}

async function throughApi({ client, signal }: BenchContext, { id }: Sandbox): Promise<number> {
  const request = { args: ARGS, timeout_secs: DEADLINE_MS / 1000 };
  return (await client.sandboxes.exec(id, request, { signal })).stdout.length;
}

async function streamed({ agent }: StockMachine): Promise<number> {
  let bytes = 0;
  for await (const event of agent.execStream({ args: ARGS, timeoutMs: DEADLINE_MS })) {
    if (event.type === 'stdout') bytes += event.bytes.length;
  }
  return bytes;
}

function section({ sourceTag }: BenchContext, rows: readonly Row[]): Section {
  const summaries = WAYS.map((way) => summarize(rows.filter((row) => row.way === way).map(({ ms }) => ms)));
  const [agent, api] = summaries;
  return {
    name: 'exec-output',
    title: 'Output of a program: through the API, and as the agent streams it',
    conditions: [`snapshot ${sourceTag}; ${OUTPUT_MIB} MiB of text from one program, in turns`],
    tables: [
      {
        title: 'From the request to the last byte, ms',
        columns: ['way', 'MiB/s at p50', ...summaryColumns],
        rows: WAYS.flatMap((way, index) => {
          const summary = summaries[index];
          if (summary === undefined) return [];
          return [[way, (OUTPUT_MIB / (summary.p50 / 1000)).toFixed(1), ...summaryCells(summary)]];
        }),
      },
    ],
    verdicts: reached([
      ratioVerdict(
        `${OUTPUT_MIB} MiB through the API within ${MAX_TIME_RATIO} × the agent’s own stream, at p50`,
        api?.p50,
        agent?.p50,
        MAX_TIME_RATIO,
      ),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
