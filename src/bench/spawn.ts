/**
 * What a child costs: from the request for it until it has answered its first command, and how much memory it
 * holds then.
 *
 * The first spawn of all is told apart: it finds layers and programs cold.
 */
import { MiB, monotonicMs, sleep } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { failureWords, type BenchContext } from './context.js';
import { processMemory } from './process-memory.js';
import { summaryCells, summaryColumns, type Cell, type Section } from './section.js';
import { summarize } from './statistics.js';

const TOGETHER = 20;
const ROUNDS_TOGETHER = 2;
const IDLE_MS = 1_000;

const columns = [
  'children',
  'round',
  'child',
  'spawn_ms',
  'first_answer_ms',
  'pss_bytes',
  'private_bytes',
  'error',
] as const;

interface Row {
  readonly children: number;
  readonly round: number;
  readonly child: number;
  /** From the request until the daemon answered it. */
  readonly spawn_ms?: number;
  /** From the request until this child had run a command. */
  readonly first_answer_ms?: number;
  readonly pss_bytes?: number;
  readonly private_bytes?: number;
  readonly error?: string;
}

/** Children one at a time, `iterations` times, then twenty in one request. */
export async function benchSpawn(context: BenchContext): Promise<Section> {
  const rows: Row[] = [];
  for (let round = 1; round <= context.iterations; round++) {
    rows.push(...(await spawnTogether(context, 1, round)));
    context.say(`spawn: ${round} of ${context.iterations}, one child`);
  }
  let daemonBytes: number | undefined;
  for (let round = 1; round <= ROUNDS_TOGETHER; round++) {
    rows.push(...(await spawnTogether(context, TOGETHER, round)));
    context.say(`spawn: ${round} of ${ROUNDS_TOGETHER}, ${TOGETHER} children`);
  }
  if (context.daemonPid !== undefined) daemonBytes = (await processMemory(context.daemonPid)).pssBytes;
  return section(context, rows, daemonBytes);
}

async function spawnTogether(context: BenchContext, count: number, round: number): Promise<Row[]> {
  const { client, signal } = context;
  const began = monotonicMs();
  let children: Sandbox[] = [];
  try {
    children = await client.sandboxes.spawn({ snapshot_tag: context.sourceTag, n: count }, { signal });
    const spawnMs = monotonicMs() - began;
    const answers = await Promise.all(children.map((child) => firstAnswer(context, child, began)));
    await sleep(IDLE_MS, signal);
    return await Promise.all(
      children.map(async (child, index) => ({
        children: count,
        round,
        child: index + 1,
        spawn_ms: spawnMs,
        ...answers[index],
        ...(await memoryOf(child)),
      })),
    );
  } catch (error) {
    if (signal.aborted) throw error;
    return [{ children: count, round, child: 1, error: failureWords(error) }];
  } finally {
    for (const { id } of children) await client.sandboxes.delete(id);
  }
}

async function firstAnswer(
  { client, signal }: BenchContext,
  { id }: Sandbox,
  began: number,
): Promise<Pick<Row, 'first_answer_ms' | 'error'>> {
  try {
    const { exit_code: exitCode } = await client.sandboxes.exec(id, { args: ['/bin/true'] }, { signal });
    if (exitCode !== 0) return { error: `/bin/true ended with ${exitCode}` };
    return { first_answer_ms: monotonicMs() - began };
  } catch (error) {
    return { error: failureWords(error) };
  }
}

async function memoryOf({ pid }: Sandbox): Promise<Pick<Row, 'pss_bytes' | 'private_bytes'>> {
  if (pid === null) return {};
  const memory = await processMemory(pid).catch(() => undefined);
  return memory === undefined ? {} : { pss_bytes: memory.pssBytes, private_bytes: memory.privateBytes };
}

function section(context: BenchContext, rows: readonly Row[], daemonBytes: number | undefined): Section {
  return {
    name: 'spawn',
    title: 'Children: time to the first answered command, and memory',
    conditions: [
      `snapshot ${context.sourceTag}; the command is /bin/true through the API; children of one request are asked all at once`,
      `memory: PSS of each child’s VMM ${IDLE_MS} ms after its first answer`,
      ...(daemonBytes === undefined ? [] : [`besides, the daemon: ${mib(daemonBytes)} MiB PSS`]),
    ],
    tables: [
      {
        title: 'From the request to the first answered command, ms',
        columns: ['children', ...summaryColumns],
        rows: [1, TOGETHER].map((count) => answerCells(rows, count)),
      },
      {
        title: 'Memory of an idle child, MiB',
        columns: ['children', 'PSS p50', 'PSS max', 'private p50'],
        rows: [1, TOGETHER].map((count) => memoryCells(rows, count)),
      },
    ],
    verdicts: [],
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

function answerCells(rows: readonly Row[], count: number): Cell[] {
  const own = rows.filter((row) => row.children === count);
  const summary = summarize(own.map((row) => row.first_answer_ms));
  return [count, ...(summary === undefined ? [] : summaryCells(summary))];
}

function memoryCells(rows: readonly Row[], count: number): Cell[] {
  const own = rows.filter((row) => row.children === count && row.pss_bytes !== undefined);
  const pss = summarize(own.map((row) => row.pss_bytes));
  const unshared = summarize(own.map((row) => row.private_bytes));
  if (pss === undefined || unshared === undefined) return [count];
  return [count, mib(pss.p50), mib(pss.max), mib(unshared.p50)];
}

function mib(bytes: number): string {
  return (bytes / MiB).toFixed(1);
}
