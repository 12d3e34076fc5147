/**
 * The moment before a child is its own, without `freeze`: how long its programs are on the source's clock, and which of their draws from the kernel
 * another child has too.
 *
 * A program in the source draws and reads both clocks each 2 ms and notes it. Two children of one branch have the same notes up to the capture
 * and none alike after it, since they hold nanoseconds: so where two part, the capture was.
 */
import type { Sandbox } from '../contract/index.js';
import { discard, failureWords, poll, withSandbox, type BenchContext } from './context.js';
import { startProgram } from './guest-programs.js';
import { sandboxGuest, type Guest } from './guest.js';
import { limitVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize } from './statistics.js';

const NOTES_PATH = '/dev/shm/bough-bench-notes';
const NOTE_PROGRAM = `
import os, sys, time
notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while True:
    drawn, mono, wall = os.urandom(8).hex(), time.monotonic_ns(), time.time_ns()
    os.write(notes, f"{drawn} {mono} {wall - mono} {time.monotonic_ns() - mono}\\n".encode())
    time.sleep(0.002)
`;
/** The time between capture and restore is far longer. */
const SAME_CLOCK_NS = 20_000_000n;
/** Notes of a child that are enough to know when its clock was set. */
const ENOUGH_NOTES = 50;
const LIMIT_MS = { kvm: 10, tcg: 50 };

const columns = [
  'round',
  'child',
  'notes',
  'on_old_clock',
  'old_clock_ms',
  'own_clock_ms',
  'shared_draws',
  'error',
] as const;

interface Note {
  readonly drawn: string;
  readonly monotonicNs: bigint;
  /** The wall clock less the monotonic one. */
  readonly clockNs: bigint;
}

interface Row {
  readonly round: number;
  readonly child: number;
  readonly notes?: number;
  readonly on_old_clock?: number;
  readonly old_clock_ms?: number;
  readonly own_clock_ms?: number;
  readonly shared_draws?: number;
  readonly error?: string;
}

/** `iterations` branches, two children of each. */
export async function benchOwnClock(context: BenchContext): Promise<Section> {
  let accelerator: 'kvm' | 'tcg' = 'tcg';
  const rows = await withSandbox(context, context.sourceTag, async (source) => {
    accelerator = source.isolation?.accel ?? accelerator;
    const guest = sandboxGuest(context.client, source.id, context.signal);
    await startProgram(guest, NOTE_PROGRAM, NOTES_PATH);
    await moreNotes(guest, 0, context.signal);
    const measured: Row[] = [];
    for (let round = 1; round <= context.iterations; round++) {
      measured.push(...(await branchAndRead(context, source, round)));
      context.say(`own-clock: ${round} of ${context.iterations}`);
    }
    return measured;
  });
  return section(context, rows, LIMIT_MS[accelerator]);
}

async function branchAndRead(context: BenchContext, source: Sandbox, round: number): Promise<Row[]> {
  const { client, signal } = context;
  const { tag } = await client.sandboxes.branch(source.id, { mode: 'live', wait: true }, { signal });
  try {
    const notes = await withSandbox(context, tag, (one) =>
      withSandbox(context, tag, (other) =>
        Promise.all([one, other].map(({ id }) => notesOf(context, sandboxGuest(client, id, signal)))),
      ),
    );
    return rowsOf(round, notes);
  } catch (error) {
    return [0, 1].map((child) => ({ round, child, error: failureWords(error) }));
  } finally {
    await discard(context, tag);
  }
}

async function notesOf({ signal }: BenchContext, guest: Guest): Promise<string[]> {
  return moreNotes(guest, (await readNotes(guest)).length, signal);
}

async function readNotes(guest: Guest): Promise<string[]> {
  // The interpreter takes a while until it writes the first one.
  const text = await guest.exec(['sh', '-c', `cat ${NOTES_PATH} 2>/dev/null || true`]);
  return text.trim().split('\n');
}

/** All notes, once there are enough of them beyond so many. */
function moreNotes(guest: Guest, known: number, signal: AbortSignal): Promise<string[]> {
  return poll(100, 60_000, signal, async () => {
    const lines = await readNotes(guest);
    return lines.length >= known + ENOUGH_NOTES ? lines : undefined;
  });
}

function rowsOf(round: number, [one = [], other = []]: readonly string[][]): Row[] {
  const parted = one.findIndex((line, at) => line !== other[at]);
  const last = parseNote(one[parted - 1] ?? '');
  const after = [one, other].map((lines) => lines.slice(parted).map(parseNote));
  const [draws, others] = after.map((notes) => new Set(notes.map(({ drawn }) => drawn)));
  const shared = [...(draws ?? [])].filter((drawn) => others?.has(drawn) === true).length;
  return after.map((notes, child) => {
    const old = notes.filter(({ clockNs }) => absolute(clockNs - last.clockNs) < SAME_CLOCK_NS);
    const until = old.at(-1)?.monotonicNs ?? last.monotonicNs;
    const own = notes[old.length]?.monotonicNs ?? until;
    const sinceCapture = (ns: bigint): number => Number(ns - last.monotonicNs) / 1e6;
    return {
      ...{ round, child, notes: notes.length, on_old_clock: old.length },
      ...{ old_clock_ms: sinceCapture(until), own_clock_ms: sinceCapture(own), shared_draws: shared },
    };
  });
}

function parseNote(line: string): Note {
  const [drawn = '', monotonic = '0', clock = '0'] = line.split(' ');
  return { drawn, monotonicNs: BigInt(monotonic), clockNs: BigInt(clock) };
}

function absolute(number: bigint): bigint {
  return number < 0n ? -number : number;
}

function section({ sourceTag }: BenchContext, rows: readonly Row[], limitMs: number): Section {
  const last = summarize(rows.map(({ old_clock_ms }) => old_clock_ms));
  const first = summarize(rows.map(({ own_clock_ms }) => own_clock_ms));
  const shared = rows.reduce((sum, { shared_draws: draws = 0 }) => sum + draws, 0) / 2;
  const noted = rows.reduce((sum, { notes = 0 }) => sum + notes, 0);
  return {
    name: 'own-clock',
    title: 'Before a child is its own, without freeze',
    conditions: [
      `snapshot ${sourceTag}; a loop that draws and reads the clocks each 2 ms; two children of each live branch`,
      `${shared} draws of ${noted} were in two children`,
    ],
    tables: [
      {
        title: 'From the last note before the capture, on the child’s own monotonic clock, ms',
        columns: ['until', ...summaryColumns],
        rows: [
          ...(last === undefined ? [] : [['the last one on the source’s clock', ...summaryCells(last)]]),
          ...(first === undefined ? [] : [['the first one on its own', ...summaryCells(first)]]),
        ],
      },
    ],
    verdicts: reached([
      limitVerdict(`at most ${limitMs} ms on the source’s clock, at p50`, last?.p50, limitMs),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
