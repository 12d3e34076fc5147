/**
 * What it saves that a VMM stands ready: children of two daemons, with `--warm-vmms` and without, from the request until the guest runs and until it
 * has answered a command.
 *
 * The two take turns. Each child is given time to end, and what is to stand ready to get there, before the next is asked for.
 */
import { monotonicMs, ResourceStack, sleep } from '../base/index.js';
import type { BoughEvent } from '../contract/index.js';
import { failureWords, type BenchContext } from './context.js';
import type { BenchDaemon, BenchRequest } from './request.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize, type Summary } from './statistics.js';

const LIMIT = 1 / 3;
const REST_MS = 1_000;
const ways = ['cold', 'warm'] as const;
type Way = (typeof ways)[number];
const times = [
  ['running_ms', 'From the request until the guest runs, ms'],
  ['first_answer_ms', 'From the request until it has answered a command, ms'],
] as const;
type Time = (typeof times)[number][0];
const columns = ['round', 'way', 'running_ms', 'first_answer_ms', 'error'] as const;

type Measured = Partial<Record<Time, number>> & { readonly error?: string };
type Row = Measured & { readonly round: number; readonly way: Way };

/** When the guest of a child ran, and whether its VMM stood ready. */
type Seen = Map<string, { readonly atMs: number; readonly warm: boolean }>;

/** `iterations` of each. */
export async function benchWarmSpawn(context: BenchContext, request: BenchRequest): Promise<Section> {
  await using daemons = new ResourceStack();
  const seen: Seen = new Map();
  const onEvent = ({ name, facts }: BoughEvent): void => {
    if (name === 'sandbox.guest-runs') seen.set(facts.id, { atMs: monotonicMs(), warm: facts.warm });
  };
  const open = async (flags: string[]): Promise<BenchDaemon> => {
    const daemon = daemons.use(await request.startDaemon({ signal: context.signal, onEvent, flags }));
    await daemon.client.snapshots.create({ tag: context.sourceTag, image: context.image });
    return daemon;
  };
  const clients = { cold: await open([]), warm: await open(['--warm-vmms', '1']) };
  // The first child of each finds layers cold, and nothing stands ready for it.
  for (const way of ways) await attempt(context, clients[way], way, seen);
  const rows: Row[] = [];
  for (let round = 1; round <= context.iterations; round++) {
    for (const way of ways) rows.push({ round, way, ...(await attempt(context, clients[way], way, seen)) });
    if (round % 5 === 0) context.say(`warm-spawn: ${round} of ${context.iterations}`);
  }
  return section(context, rows);
}

async function attempt(
  { sourceTag, signal }: BenchContext,
  { client }: BenchDaemon,
  way: Way,
  seen: Seen,
): Promise<Measured> {
  const began = monotonicMs();
  let id: string | undefined;
  try {
    id = (await client.sandboxes.spawn({ snapshot_tag: sourceTag }))[0]?.id ?? '';
    const { exit_code } = await client.sandboxes.exec(id, { args: ['/bin/true'] }, { signal });
    const first_answer_ms = monotonicMs() - began;
    const ran = seen.get(id);
    if (exit_code !== 0) return { error: `/bin/true ended with ${exit_code}` };
    if (ran?.warm !== (way === 'warm')) return { error: `the VMM was not ${way}` };
    return { running_ms: ran.atMs - began, first_answer_ms };
  } catch (error) {
    signal.throwIfAborted();
    return { error: failureWords(error) };
  } finally {
    if (id !== undefined) await client.sandboxes.delete(id);
    await sleep(REST_MS, signal);
  }
}

function section(context: BenchContext, rows: readonly Row[]): Section {
  const of = (way: Way, time: Time): Summary | undefined =>
    summarize(rows.filter((row) => row.way === way).map((row) => row[time]));
  const [what, limit] = ['request to running, p50, in a VMM that stood ready', 'of one that was started'];
  return {
    name: 'warm-spawn',
    title: 'Children in VMMs that stood ready',
    conditions: [
      `children of ${context.sourceTag}, one at a time, of two daemons in turns, ${context.iterations} of each; one VMM stands ready in one of them`,
      'the guest runs when its daemon says so; the command is /bin/true through the API',
    ],
    tables: times.map(([time, title]) => ({
      title,
      columns: ['VMM', ...summaryColumns],
      rows: ways.flatMap((way) => {
        const summary = of(way, time);
        return summary === undefined ? [] : [[way, ...summaryCells(summary)]];
      }),
    })),
    verdicts: reached([
      ratioVerdict(
        `${what}, ≤ 1/3 ${limit}`,
        of('warm', 'running_ms')?.p50,
        of('cold', 'running_ms')?.p50,
        LIMIT,
      ),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
