/**
 * Many streams at once: two thousand that wait for what four kept processes print, and two hundred programs whose output streams through the API
 * meanwhile. Every stream has to get every byte, and the daemon's memory has to stay small.
 *
 * Four guests: one takes a thousand streams, and input for a process is one more.
 */
import { createHash } from 'node:crypto';
import { Deferred, MiB, monotonicMs } from '../base/index.js';
import type { ExecOutput, Process, ProcessOutput } from '../sdk/index.js';
import { failureWords, withSandbox, type BenchContext } from './context.js';
import { withPeak } from './memory-peak.js';
import { formatMs, reached, type Section } from './section.js';

const GUESTS = 4;
const IDLE_PER_GUEST = 500;
const PROGRAMS_PER_GUEST = 50;
/** Streams that are opened at a time, of each guest. */
const OPENED_TOGETHER = 25;
const PROGRAM_BYTES = 256 * 1024;
const MAX_DAEMON_MIB = 250;
const DEADLINE_SECS = 600;
const BEGIN = 'begin\n';
const LINE = 'The quick brown fox jumps over the lazy dog, 0123456789';
const PROGRAM = ['sh', '-c', `yes '${LINE}' | head -c ${PROGRAM_BYTES}`];
/** What the waiting streams get in the end. */
const NEWS = `${LINE}\n`.repeat(100);

const columns = ['kind', 'guest', 'stream', 'bytes', 'whole', 'error'] as const;

interface Row {
  readonly kind: 'waiting' | 'program';
  readonly guest: number;
  readonly stream: number;
  readonly bytes: number;
  readonly whole: boolean;
  readonly error?: string;
}

export async function benchStreams(context: BenchContext): Promise<Section> {
  return withGuests(context, [], async (guests) => {
    let openedMs = 0;
    const { result: rows, peakBytes } = await withPeak(context.daemonPid, async () => {
      const began = monotonicMs();
      await Promise.all(guests.map((guest) => guest.openStreams()));
      openedMs = monotonicMs() - began;
      context.say(`streams: ${guests.length * IDLE_PER_GUEST} wait`);
      const programs = await Promise.all(guests.map((guest, index) => guest.runPrograms(index)));
      context.say(`streams: ${guests.length * PROGRAMS_PER_GUEST} programs have ended`);
      const waiting = await Promise.all(guests.map((guest, index) => guest.tellAll(index)));
      return [...programs.flat(), ...waiting.flat()];
    });
    return section(context, rows, openedMs, peakBytes);
  });
}

/** Runs `work` with all guests, each in a sandbox that goes with it. */
async function withGuests<T>(
  context: BenchContext,
  open: readonly Guest[],
  work: (guests: readonly Guest[]) => Promise<T>,
): Promise<T> {
  if (open.length === GUESTS) return work(open);
  return withSandbox(context, context.sourceTag, async ({ id }) =>
    withGuests(context, [...open, await Guest.open(context, id)], work),
  );
}

/** What a stream gave. */
interface Got {
  readonly bytes: number;
  readonly digest: string;
}

/** The streams of one guest. */
class Guest {
  readonly #context: BenchContext;
  readonly #id: string;
  readonly #process: Process;
  readonly #waiting: Promise<PromiseSettledResult<Got>[]>[] = [];

  static async open(context: BenchContext, id: string): Promise<Guest> {
    const sandbox = context.client.sandbox(id);
    const { signal } = context;
    const process = await sandbox.processes.start(`printf '${BEGIN}'; cat`, { stdin: true }, { signal });
    return new Guest(context, id, process);
  }

  private constructor(context: BenchContext, id: string, process: Process) {
    this.#context = context;
    this.#id = id;
    this.#process = process;
  }

  /** Resolves when each of them has had its first bytes. */
  async openStreams(): Promise<void> {
    for (let opened = 0; opened < IDLE_PER_GUEST; opened += OPENED_TOGETHER) {
      const batch = Array.from({ length: OPENED_TOGETHER }, () => this.#openOne());
      // Whatever becomes of them is looked at in the end.
      this.#waiting.push(Promise.allSettled(batch.map(({ ended }) => ended)));
      await Promise.all(batch.map(({ began }) => began));
    }
  }

  #openOne(): { began: Promise<undefined>; ended: Promise<Got> } {
    const began = new Deferred<undefined>();
    const signal = this.#signal();
    const ended = received(this.#process.output({}, { signal }), () => began.resolve(undefined));
    ended.catch(began.reject);
    return { began: began.promise, ended };
  }

  /** Of each stream its own: one signal with thousands of listeners is taken for a leak. */
  #signal(): AbortSignal {
    return AbortSignal.any([this.#context.signal]);
  }

  async runPrograms(guest: number): Promise<Row[]> {
    const { client } = this.#context;
    const request = { args: PROGRAM, timeout_secs: DEADLINE_SECS };
    const expected = digestOf(`${LINE}\n`.repeat(PROGRAM_BYTES / LINE.length + 1).slice(0, PROGRAM_BYTES));
    const programs = Array.from({ length: PROGRAMS_PER_GUEST }, () =>
      received(client.sandboxes.execStream(this.#id, request, { signal: this.#signal() })),
    );
    return rowsOf('program', guest, await Promise.allSettled(programs), expected);
  }

  async tellAll(guest: number): Promise<Row[]> {
    await this.#process.write(NEWS, { eof: true });
    const outcomes = (await Promise.all(this.#waiting)).flat();
    return rowsOf('waiting', guest, outcomes, digestOf(BEGIN + NEWS));
  }
}

async function received(
  pieces: AsyncIterable<ProcessOutput | ExecOutput>,
  onFirst?: () => void,
): Promise<Got> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of pieces) {
    if (piece.type === 'gap') throw new Error('bytes are gone');
    if (!('bytes' in piece)) continue;
    hash.update(piece.bytes);
    bytes += piece.bytes.length;
    onFirst?.();
  }
  return { bytes, digest: hash.digest('hex') };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function rowsOf(
  kind: Row['kind'],
  guest: number,
  outcomes: readonly PromiseSettledResult<Got>[],
  expected: string,
): Row[] {
  return outcomes.map((outcome, stream) =>
    outcome.status === 'fulfilled'
      ? { kind, guest, stream, bytes: outcome.value.bytes, whole: outcome.value.digest === expected }
      : { kind, guest, stream, bytes: 0, whole: false, error: failureWords(outcome.reason) },
  );
}

function section(
  { sourceTag }: BenchContext,
  rows: readonly Row[],
  openedMs: number,
  peakBytes: number | undefined,
): Section {
  const ofKind = (kind: Row['kind']): readonly Row[] => rows.filter((row) => row.kind === kind);
  const broken = rows.filter(({ whole }) => !whole).length;
  const peakMiB = peakBytes === undefined ? undefined : peakBytes / MiB;
  return {
    name: 'streams',
    title: 'Many streams at once',
    conditions: [
      `snapshot ${sourceTag}; ${GUESTS} guests; opening the waiting streams took ${formatMs(openedMs)} ms`,
      `each program prints ${PROGRAM_BYTES / 1024} KiB; each waiting stream gets ${BEGIN.length + NEWS.length} bytes`,
    ],
    tables: [
      {
        title: 'Streams',
        columns: ['kind', 'n', 'whole', 'MiB'],
        rows: (['waiting', 'program'] as const).map((kind) => [
          kind,
          ofKind(kind).length,
          ofKind(kind).filter(({ whole }) => whole).length,
          (ofKind(kind).reduce((sum, { bytes }) => sum + bytes, 0) / MiB).toFixed(1),
        ]),
      },
    ],
    verdicts: reached([
      {
        promise: `${ofKind('program').length} programs stream and ${ofKind('waiting').length} streams wait at once, without a lost byte`,
        measured: `${broken} of ${rows.length} not whole`,
        held: broken === 0 && rows.length > 0,
        decides: true,
      },
      peakMiB === undefined
        ? undefined
        : {
            promise: `the daemon stays below ${MAX_DAEMON_MIB} MiB (PSS)`,
            measured: `${peakMiB.toFixed(0)} MiB`,
            held: peakMiB < MAX_DAEMON_MIB,
            decides: true,
          },
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}
