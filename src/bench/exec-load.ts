/**
 * Many calls into one guest at a time: whether each is answered, and how long the slowest waits.
 *
 * The yardstick is the same image in stock QEMU, whose user network queues two clients at a forwarded port and makes the others
 * try again after seconds. Both guests are asked over TCP directly, something the agent answers without work, so that nothing
 * differs but the way in. The calls through the API are evaluations.
 */
import { monotonicMs, ResourceStack } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { failureWords, withSandbox, type BenchContext } from './context.js';
import { agentOf, askOnce, ECHO_DEADLINE_MS } from './echo-probe.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize, type Summary } from './statistics.js';
import { bootStockPeer } from './stock-peer.js';

const ASKED_TOGETHER = 16;
const CALLED_TOGETHER = 32;
/** Of the calls through the API, so many are questions to each guest. */
const QUESTIONS_SHARE = 5;
const MAX_P99_RATIO = 0.25;

const columns = ['way', 'at_a_time', 'call', 'ms', 'error'] as const;
type Way = 'sandbox' | 'stock' | 'api';

interface Row {
  readonly way: Way;
  readonly at_a_time: number;
  readonly call: number;
  readonly ms?: number;
  readonly error?: string;
}

/** `iterations` evaluations through the API, and a fifth as many questions to each guest, in turns. */
export async function benchExecLoad(context: BenchContext): Promise<Section> {
  await using resources = new ResourceStack();
  const stock = await bootStockPeer(context, resources);
  await stock.rest();
  const rows = await withSandbox(context, context.sourceTag, async (sandbox) => {
    const asked: Row[] = [];
    const rounds = Math.ceil(context.iterations / QUESTIONS_SHARE / ASKED_TOGETHER);
    for (let round = 0; round < rounds; round++) {
      asked.push(
        ...(await together('sandbox', ASKED_TOGETHER, ASKED_TOGETHER, () => askOnce(agentOf(sandbox)))),
      );
      await stock.wake();
      asked.push(
        ...(await together('stock', ASKED_TOGETHER, ASKED_TOGETHER, () => askOnce(stock.agentAddress))),
      );
      await stock.rest();
      context.say(`exec-load: ${round + 1} of ${rounds}, ${ASKED_TOGETHER} questions at a time`);
    }
    const called = await together('api', context.iterations, CALLED_TOGETHER, () =>
      evaluate(context, sandbox),
    );
    return [...asked, ...called];
  });
  return section(context, rows);
}

async function evaluate({ client, signal }: BenchContext, { id }: Sandbox): Promise<number> {
  const began = monotonicMs();
  await client.sandboxes.eval(id, { code: '1 + 1' }, { signal });
  return monotonicMs() - began;
}

/** `count` calls, `atATime` at a time. */
async function together(
  way: Way,
  count: number,
  atATime: number,
  call: () => Promise<number>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < count) {
      const row = { way, at_a_time: atATime, call: ++begun };
      rows.push(
        await call().then(
          (ms) => ({ ...row, ms }),
          (error: unknown) => ({ ...row, error: failureWords(error) }),
        ),
      );
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return rows;
}

/** What the peer leaves unanswered took it at least the deadline; what bough leaves unanswered has failed. */
function leastMs(way: Way): number | undefined {
  return way === 'stock' ? ECHO_DEADLINE_MS : undefined;
}

function section({ sourceTag }: BenchContext, rows: readonly Row[]): Section {
  const summaries = new Map<Way, Summary>();
  for (const way of ['sandbox', 'stock', 'api'] as const) {
    const times = rows.filter((row) => row.way === way).map(({ ms }) => ms ?? leastMs(way));
    const summary = summarize(times);
    if (summary !== undefined) summaries.set(way, summary);
  }
  const failed = summaries.get('api')?.failed ?? 0;
  const count = summaries.get('api')?.n ?? 0;
  const unanswered = rows.filter(({ way, ms }) => way === 'stock' && ms === undefined).length;
  return {
    name: 'exec-load',
    title: 'Many calls into one guest at a time',
    conditions: [
      `snapshot ${sourceTag}; questions: the agent is asked over TCP without its secret, ${ASKED_TOGETHER} at once, sandbox and stock QEMU in turns`,
      `stock QEMU left ${unanswered} unanswered for ${ECHO_DEADLINE_MS / 1000} s, which count as just that`,
      `api: evaluations of 1 + 1 through the API, ${CALLED_TOGETHER} at a time`,
    ],
    tables: [
      {
        title: 'Time to the answer, ms',
        columns: ['way', 'at a time', ...summaryColumns],
        rows: [...summaries].map(([way, summary]) => [
          way,
          way === 'api' ? CALLED_TOGETHER : ASKED_TOGETHER,
          ...summaryCells(summary),
        ]),
      },
    ],
    verdicts: reached([
      ratioVerdict(
        `${ASKED_TOGETHER} at a time, p99 ≤ ${MAX_P99_RATIO} of stock QEMU`,
        summaries.get('sandbox')?.p99,
        summaries.get('stock')?.p99,
        MAX_P99_RATIO,
      ),
      {
        promise: `every call through the API is answered, ${CALLED_TOGETHER} at a time`,
        measured: `${failed} of ${count} failed`,
        held: failed === 0 && count > 0,
        decides: true,
      },
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
