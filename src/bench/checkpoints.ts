/**
 * What a checkpoint each second costs a guest that computes and rewrites memory at a rate: the work it gets done, with and without.
 *
 * Both are measured in short turns of one guest, so that whatever slows the host slows both. Work is counted in the guest and timed by the
 * host: the guest's clock stands still in a pause.
 */
import { monotonicMs, sleep } from '../base/index.js';
import { discard, withSandbox, type BenchContext } from './context.js';
import { sandboxGuest, type Guest } from './guest.js';
import { computingProgram, startProgram } from './guest-programs.js';
import {
  limitVerdict,
  reached,
  summaryCells,
  summaryColumns,
  type Section,
  type Verdict,
} from './section.js';
import { median, summarize } from './statistics.js';

const MIB_PER_SECOND = 20;
const TURN_MS = 15_000;
const EVERY_SECS = 1;
const POLL_MS = 2_000;
/** Kept for less, one could be gone before it was looked at. */
const KEPT_SECS = 10;
const LEAST_WORK = 0.95;
const LEAST_TAKEN = 0.9;
const PROGRESS = '/root/computed';

const columns = ['turn', 'checkpoints', 'units_per_second', 'taken', 'pauses_ms'] as const;

interface Row {
  readonly turn: number;
  readonly checkpoints: boolean;
  readonly units_per_second: number;
  readonly taken: number;
  /** Joined by blanks. */
  readonly pauses_ms: string;
}

/** `iterations` seconds with checkpoints, and as many without. */
export async function benchCheckpoints(context: BenchContext): Promise<Section> {
  const turns = Math.max(1, Math.round((context.iterations * 1000) / TURN_MS));
  const rows = await withSandbox(context, context.sourceTag, async ({ id }) => {
    const guest = sandboxGuest(context.client, id, context.signal);
    await startProgram(guest, computingProgram, MIB_PER_SECOND, PROGRESS);
    await sleep(TURN_MS / 3, context.signal);
    const measured: Row[] = [];
    try {
      for (let turn = 1; turn <= turns; turn++) {
        for (const checkpoints of [false, true])
          measured.push(await measureTurn(context, id, guest, { turn, checkpoints }));
        context.say(`checkpoints: ${turn} of ${turns} turns`);
      }
    } finally {
      for (const { tag } of await context.client.sandboxes.timeline(id).list()) await discard(context, tag);
    }
    return measured;
  });
  return section(rows);
}

async function measureTurn(
  { client, signal }: BenchContext,
  id: string,
  guest: Guest,
  { turn, checkpoints }: Pick<Row, 'turn' | 'checkpoints'>,
): Promise<Row> {
  const timeline = client.sandboxes.timeline(id);
  const known = new Set((await timeline.list()).map(({ tag }) => tag));
  const pauses = new Map<string, number>();
  if (checkpoints)
    await timeline.setSchedule({ every_secs: EVERY_SECS, keep: [{ within_secs: KEPT_SECS }] }, { signal });
  const before = await unitsOf(guest);
  while (monotonicMs() < before.atMs + TURN_MS) {
    await sleep(Math.min(POLL_MS, before.atMs + TURN_MS - monotonicMs()), signal);
    // As often without, so that looking costs both the same.
    for (const { tag, pause_ms: ms } of await timeline.list())
      if (!known.has(tag) && ms !== undefined) pauses.set(tag, ms);
  }
  const after = await unitsOf(guest);
  if (checkpoints) await timeline.removeSchedule({ signal });
  return {
    ...{ turn, checkpoints, taken: pauses.size },
    units_per_second: (after.units - before.units) / ((after.atMs - before.atMs) / 1000),
    pauses_ms: [...pauses.values()].join(' '),
  };
}

async function unitsOf(guest: Guest): Promise<{ readonly units: number; readonly atMs: number }> {
  const units = Number(await guest.exec(['cat', PROGRESS]));
  return { units, atMs: monotonicMs() };
}

function section(rows: readonly Row[]): Section {
  const rate = (checkpoints: boolean): number =>
    median(rows.filter((row) => row.checkpoints === checkpoints).map((row) => row.units_per_second));
  const taking = rows.filter((row) => row.checkpoints);
  const pauses = summarize(taking.flatMap((row) => row.pauses_ms.split(' ').filter(Boolean).map(Number)));
  const taken = taking.reduce((sum, row) => sum + row.taken, 0);
  const due = taking.length * (TURN_MS / 1000 / EVERY_SECS);
  const seconds = (taking.length * TURN_MS) / 1000;
  return {
    name: 'checkpoints',
    title: `A checkpoint each second of a guest that computes and rewrites ${MIB_PER_SECOND} MiB/s`,
    conditions: [
      `${seconds} s with and ${seconds} s without, in turns of ${TURN_MS / 1000} s; work is what the guest computed, per second of the host`,
      `each stays for ${KEPT_SECS} s; n = ${taken} checkpoints`,
    ],
    tables: [
      {
        title: 'Work, units a second, p50 of the turns',
        columns: ['without', 'with'],
        rows: [[Math.round(rate(false)), Math.round(rate(true))]],
      },
      {
        title: 'Pause, ms',
        columns: [...summaryColumns],
        rows: pauses === undefined ? [] : [summaryCells(pauses)],
      },
    ],
    verdicts: reached([
      atLeast(`work done with checkpoints ≥ ${LEAST_WORK} of without`, rate(true) / rate(false), LEAST_WORK),
      atLeast(`checkpoints taken ≥ ${LEAST_TAKEN} of one a second`, taken / due, LEAST_TAKEN),
      limitVerdict('pause p99 ≤ 5 ms', pauses?.p99, 5),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

function atLeast(promise: string, share: number, least: number): Verdict {
  return { promise, measured: share.toFixed(2), held: share >= least, decides: true };
}
