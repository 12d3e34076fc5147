/**
 * Branches of an idle guest while others use the host: all of its processors, and the disk that snapshots are kept on.
 *
 * Idle and busy take turns, a block of branches each. What counts is how much worse the worst get, so there have to be many.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { ResourceStack } from '../base/index.js';
import { discard, failureWords, freshTag, measureBranch, withSandbox, type BenchContext } from './context.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize, type Summary } from './statistics.js';

const BLOCK = 50;
const LIMIT = 3;
const SPINNER = 'for (;;);';
/** Writes a little and waits until it is on the disk, without end. */
const SYNCING_WRITER = `
const { openSync, writeSync, fsyncSync } = require('node:fs');
const file = openSync(process.argv[1], 'w');
for (let block = 0; ; block = (block + 1) % 4096) {
  writeSync(file, Buffer.alloc(65536, block), 0, 65536, block * 65536);
  fsyncSync(file);
}`;

const times = [
  ['stopped_ms', 'QEMU’s STOP to RESUME, ms'],
  ['pause_ms', 'Pause window, ms'],
  ['http_round_trip_ms', 'HTTP round trip, ms'],
] as const;
const columns = ['host', 'branch', ...times.map(([column]) => column), 'error'] as const;

type HostState = 'idle' | 'busy';
type Time = (typeof times)[number][0];
type Row = { readonly host: HostState; readonly branch: number; readonly error?: string } & Readonly<
  Partial<Record<Time, number>>
>;

/** `iterations` branches of each. */
export async function benchBusyHost(context: BenchContext): Promise<Section> {
  const rows: Row[] = [];
  await withSandbox(context, context.sourceTag, async ({ id }) => {
    for (let branch = 1; branch <= context.iterations; branch += BLOCK) {
      const block = { from: branch, to: Math.min(branch + BLOCK - 1, context.iterations) };
      rows.push(...(await branches(context, id, { host: 'idle', ...block })));
      await using load = new ResourceStack();
      await beBusy(context, load);
      rows.push(...(await branches(context, id, { host: 'busy', ...block })));
      context.say(`busy-host: ${block.to} of ${context.iterations}`);
    }
  });
  return section(context, rows);
}

/** Until the stack is closed. */
async function beBusy({ cacheDir }: BenchContext, load: ResourceStack): Promise<void> {
  const dir = await mkdtemp(join(cacheDir, 'bench-busy-'));
  load.defer(() => rm(dir, { recursive: true }));
  for (let processor = 0; processor < availableParallelism(); processor++) load.defer(running(SPINNER));
  load.defer(running(SYNCING_WRITER, join(dir, 'written')));
}

/** Runs a program of Node; resolves, when asked to end it, once it has. */
function running(program: string, ...args: string[]): () => Promise<void> {
  const child = execa(process.execPath, ['-e', program, ...args], { stdio: 'ignore', reject: false });
  return async () => {
    child.kill('SIGKILL');
    await child;
  };
}

async function branches(
  context: BenchContext,
  sourceId: string,
  { host, from, to }: { host: HostState; from: number; to: number },
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let branch = from; branch <= to; branch++)
    rows.push({ host, branch, ...(await oneBranch(context, sourceId)) });
  return rows;
}

async function oneBranch(context: BenchContext, sourceId: string): Promise<Omit<Row, 'host' | 'branch'>> {
  const tag = freshTag();
  try {
    const measured = await measureBranch(context, sourceId, { mode: 'live', wait: true, tag });
    const { stopped_ms = Infinity } = measured.snapshot;
    return { stopped_ms, pause_ms: measured.pauseMs, http_round_trip_ms: measured.httpRoundTripMs };
  } catch (error) {
    context.signal.throwIfAborted();
    return { error: failureWords(error) };
  } finally {
    await discard(context, tag);
  }
}

function section(context: BenchContext, rows: readonly Row[]): Section {
  const of = (host: HostState, column: Time): Summary | undefined =>
    summarize(rows.filter((row) => row.host === host).map((row) => row[column]));
  const verdict = (what: string, column: Time) =>
    ratioVerdict(
      `${what} on a busy host, p99 ≤ ${LIMIT} × an idle host’s`,
      of('busy', column)?.p99,
      of('idle', column)?.p99,
      LIMIT,
    );
  return {
    name: 'busy-host',
    title: 'Branches on a busy host',
    conditions: [
      `idle guest of ${context.sourceTag}, live, wait:true; n = ${context.iterations} of each, in turns of ${BLOCK}`,
      `busy: a spinning process for each of ${availableParallelism()} processors, and one that syncs each 64 KiB it writes to the disk of the cache folder`,
    ],
    tables: times.map(([column, title]) => ({
      title,
      columns: ['host', ...summaryColumns],
      rows: (['idle', 'busy'] as const).flatMap((host) => {
        const summary = of(host, column);
        return summary === undefined ? [] : [[host, ...summaryCells(summary)]];
      }),
    })),
    verdicts: reached([
      verdict('STOP to RESUME', 'stopped_ms'),
      verdict('the round trip', 'http_round_trip_ms'),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
