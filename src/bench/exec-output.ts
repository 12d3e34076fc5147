/**
 * How fast a program's output arrives: through the API, as one JSON answer and as a stream, against the stream of a guest agent that is ours, and
 * against as many bytes by nothing but TCP, from one process of that guest to this host: what the guest's kernel and its network card take.
 *
 * The agent's guest is the same image in stock QEMU. They take turns, and whoever is not measured does nothing.
 */
import { MiB, ResourceStack } from '../base/index.js';
import { withSandbox, type BenchContext } from './context.js';
import { ratioVerdict, reached, type Section } from './section.js';
import { bootStockPeer } from './stock-peer.js';
import { openTcpSink } from './tcp-sink.js';
import { csvOf, inTurns, summaryOf, tableOf, timed, type Turn } from './turns.js';

/** Below what an answer keeps, so that all of it arrives. */
const OUTPUT_MIB = 15;
const OUTPUT_BYTES = OUTPUT_MIB * MiB;
const MAX_TIME_RATIO = 1.25;
/** The program, its pipe and the agent besides. */
const MAX_TCP_RATIO = 2.5;
const DEADLINE_MS = 120_000;
/** Made before, or it would be the making that is measured. */
const TEXT_PATH = '/dev/shm/text';
const MAKE_TEXT = `yes 'The quick brown fox jumps over the lazy dog, 0123456789' | head -c ${OUTPUT_BYTES} > ${TEXT_PATH}`;
const ARGS = ['cat', TEXT_PATH];

type Way = 'answer' | 'stream' | 'agent' | 'tcp';

export async function benchExecOutput(context: BenchContext): Promise<Section> {
  const { client, signal, iterations, say } = context;
  await using resources = new ResourceStack();
  const stock = await bootStockPeer(context, resources, { network: 'unrestricted' });
  const sink = await openTcpSink(resources);
  const makeText = { args: ['sh', '-c', MAKE_TEXT] };
  await stock.agent.exec({ ...makeText, timeoutMs: DEADLINE_MS });
  await stock.rest();
  const turns = await withSandbox(context, context.sourceTag, async ({ id }) => {
    await client.sandboxes.exec(id, makeText, { signal });
    const request = { args: ARGS, timeout_secs: DEADLINE_MS / 1000 };
    const answered = async (): Promise<number> =>
      (await client.sandboxes.exec(id, request, { signal })).stdout.length;
    return inTurns(
      iterations,
      {
        answer: () => timed(() => whole(answered())),
        stream: () => timed(() => whole(streamed(client.sandboxes.execStream(id, request, { signal })))),
        agent: () =>
          stock.awake(() =>
            timed(() => whole(streamed(stock.agent.execStream({ args: ARGS, timeoutMs: DEADLINE_MS })))),
          ),
        tcp: () =>
          stock.awake(() =>
            timed(async () => {
              const received = sink.received();
              await stock.guest.eval(sink.program(OUTPUT_BYTES));
              await whole(received);
            }),
          ),
      },
      (round) => say(`exec-output: ${round} of ${iterations}`),
    );
  });
  return section(context, turns);
}

async function whole(arriving: Promise<number>): Promise<void> {
  const bytes = await arriving;
  if (bytes !== OUTPUT_BYTES) throw new Error(`${bytes} bytes arrived`);
}

async function streamed(
  events: AsyncIterable<{ readonly type: string; readonly bytes?: Uint8Array }>,
): Promise<number> {
  let bytes = 0;
  for await (const { type, bytes: piece } of events) if (type === 'stdout') bytes += piece?.length ?? 0;
  return bytes;
}

function section({ sourceTag }: BenchContext, turns: readonly Turn<Way>[]): Section {
  const agent = summaryOf(turns, 'agent');
  const verdictOn = (way: Way, words: string): ReturnType<typeof ratioVerdict> =>
    ratioVerdict(
      `${OUTPUT_MIB} MiB through the API, ${words}, within ${MAX_TIME_RATIO} × the agent’s own stream, at p50`,
      summaryOf(turns, way)?.p50,
      agent?.p50,
      MAX_TIME_RATIO,
    );
  return {
    name: 'exec-output',
    title: 'Output of a program: through the API, and as the agent streams it',
    conditions: [
      `snapshot ${sourceTag}; ${OUTPUT_MIB} MiB of text from a file in memory, by one program, in turns`,
    ],
    tables: [
      tableOf('From the request to the last byte, ms', turns, {
        column: 'MiB/s at p50',
        cell: ({ p50 }) => (OUTPUT_MIB / (p50 / 1000)).toFixed(1),
      }),
    ],
    verdicts: reached([
      verdictOn('answer', 'as one answer'),
      verdictOn('stream', 'as a stream'),
      ratioVerdict(
        `the agent’s own stream within ${MAX_TCP_RATIO} × as many bytes by TCP alone, at p50`,
        agent?.p50,
        summaryOf(turns, 'tcp')?.p50,
        MAX_TCP_RATIO,
      ),
    ]),
    csv: csvOf(turns),
  };
}
