/**
 * How soon a program has run in a warm sandbox: through the API, against the guest agent asked by us.
 *
 * The agent's guest is the same image in stock QEMU. The two take turns, and whoever is not measured does nothing.
 */
import { ResourceStack } from '../base/index.js';
import { withSandbox, type BenchContext } from './context.js';
import { formatMs, ratioOf, formatRatio, type Section } from './section.js';
import { bootStockPeer } from './stock-peer.js';
import { csvOf, inTurns, summaryOf, tableOf, timed, type Turn } from './turns.js';

const ARGS = ['/bin/true'];
/** What the daemon adds to the agent's own work is to stay small against it. */
const MAX_ADDED_MS = 10;

export async function benchExec(context: BenchContext): Promise<Section> {
  const { client, signal, iterations } = context;
  await using resources = new ResourceStack();
  const stock = await bootStockPeer(context, resources);
  await stock.rest();
  const turns = await withSandbox(context, context.sourceTag, ({ id }) =>
    inTurns(iterations, {
      api: () => timed(() => client.sandboxes.exec(id, { args: ARGS }, { signal })),
      agent: () => stock.awake(() => timed(() => stock.agent.exec({ args: ARGS }))),
    }),
  );
  return section(context, turns);
}

function section({ sourceTag }: BenchContext, turns: readonly Turn<'api' | 'agent'>[]): Section {
  const [api, agent] = [summaryOf(turns, 'api'), summaryOf(turns, 'agent')];
  const addedMs = agent === undefined || api === undefined ? NaN : api.p50 - agent.p50;
  const ratio = agent === undefined || api === undefined ? NaN : ratioOf(api.p50, agent.p50);
  return {
    name: 'exec',
    title: 'A program in a warm guest: through the API, and as the agent runs it',
    conditions: [`snapshot ${sourceTag}; ${ARGS.join(' ')}, one at a time, in turns`],
    tables: [tableOf('From the request to the answer, ms', turns)],
    verdicts: [
      {
        promise: `the API adds at most ${MAX_ADDED_MS} ms to the agent’s own, at p50`,
        measured: `${formatMs(addedMs)} ms, ${formatRatio(ratio)} of it`,
        held: addedMs <= MAX_ADDED_MS,
        decides: false,
      },
    ],
    csv: csvOf(turns),
  };
}
