/**
 * A large file into a guest and out of it again: that every byte arrives, and that neither the daemon nor the agent holds more of a large one than
 * of a small one.
 *
 * A round is 256 MiB; all rounds together are one file. Not measured: the process that the agent forks for a file, which ends with it and has
 * one buffer of 64 KiB.
 */
import { createHash, type Hash } from 'node:crypto';
import { MiB, monotonicMs } from '../base/index.js';
import type { Sandbox } from '../sdk/index.js';
import { withSandbox, type BenchContext } from './context.js';
import { sandboxGuest } from './guest.js';
import { withPeak } from './memory-peak.js';
import { reached, type Section, type Verdict } from './section.js';

const ROUND_MIB = 256;
const SMALL_MIB = 16;
const PIECE_BYTES = 64 * 1024;
const PATH = '/var/tmp/bough-bench-file';
/** How much more a large file may take than a small one: what a garbage collector leaves for later. */
const MAX_GROWTH_MIB = 32;

/** The agent is the first process that was called so; errands are its children. Prints the most KiB it ever had. */
const AGENT_PEAK = [
  'import re, glob',
  'called = {int(p.split("/")[2]): open(p).read() for p in glob.glob("/proc/[0-9]*/cmdline")}',
  'pids = sorted(pid for pid, words in called.items() if words.startswith("bough-agent\\0"))',
  'print(re.search(r"VmHWM:\\s+(\\d+)", open(f"/proc/{pids[0]}/status").read())[1])',
].join('\n');

const columns = ['direction', 'mib', 'ms', 'whole', 'daemon_peak_mib', 'agent_peak_mib'] as const;

interface Row {
  readonly direction: 'in' | 'out';
  readonly mib: number;
  readonly ms: number;
  readonly whole: boolean;
  readonly daemon_peak_mib: number | undefined;
  readonly agent_peak_mib: number;
}

export async function benchTransfers(context: BenchContext): Promise<Section> {
  const rows = await withSandbox(context, context.sourceTag, async ({ id }) => {
    const measured: Row[] = [];
    for (const mib of [SMALL_MIB, context.iterations * ROUND_MIB]) {
      measured.push(...(await transfer(context, id, mib)));
      context.say(`transfers: ${mib} MiB in and out`);
    }
    return measured;
  });
  return section(context, rows);
}

async function transfer(context: BenchContext, id: string, mib: number): Promise<Row[]> {
  const sandbox = context.client.sandbox(id);
  const { signal } = context;
  const sent = createHash('sha256');
  const into = await measured(context, id, () =>
    sandbox.files.write(PATH, pieces(mib * MiB, sent), { signal }),
  );
  const digest = sent.digest('hex');
  const there = (await guestOf(context, id).exec(['sha256sum', PATH])).split(' ')[0];
  const out = await measured(context, id, () => digestOf(sandbox, signal));
  await sandbox.files.remove(PATH, { signal });
  return [
    { direction: 'in', mib, whole: there === digest, ...into.row },
    { direction: 'out', mib, whole: out.result === digest, ...out.row },
  ];
}

async function measured<T>(
  context: BenchContext,
  id: string,
  work: () => Promise<T>,
): Promise<{ result: T; row: Pick<Row, 'ms' | 'daemon_peak_mib' | 'agent_peak_mib'> }> {
  const began = monotonicMs();
  let ms = 0;
  const { result, peakBytes } = await withPeak(context.daemonPid, async () => {
    const value = await work();
    ms = monotonicMs() - began;
    return value;
  });
  const agentKiB = Number(await guestOf(context, id).exec(['python3', '-c', AGENT_PEAK]));
  const daemonMiB = peakBytes === undefined ? undefined : peakBytes / MiB;
  return { result, row: { ms, daemon_peak_mib: daemonMiB, agent_peak_mib: agentKiB / 1024 } };
}

function guestOf({ client, signal }: BenchContext, id: string): ReturnType<typeof sandboxGuest> {
  return sandboxGuest(client, id, signal);
}

/** Pieces that are all different. */
async function* pieces(bytes: number, hash: Hash): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const piece = Buffer.alloc(PIECE_BYTES, `${at}, `);
    hash.update(piece);
    yield await Promise.resolve(piece);
  }
}

async function digestOf(sandbox: Sandbox, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of sandbox.files.stream(PATH, { signal })) hash.update(piece);
  return hash.digest('hex');
}

function section({ sourceTag }: BenchContext, rows: readonly Row[]): Section {
  const [large] = rows.slice(-1);
  const broken = rows.filter(({ whole }) => !whole).length;
  return {
    name: 'transfers',
    title: 'A large file into a guest, and out of it',
    conditions: [`snapshot ${sourceTag}; the daemon’s memory is PSS, the agent’s the most it ever had`],
    tables: [
      {
        title: 'Files',
        columns: ['direction', 'MiB', 'MiB/s', 'daemon MiB', 'agent MiB'],
        rows: rows.map((row) => [
          row.direction,
          row.mib,
          (row.mib / (row.ms / 1000)).toFixed(1),
          row.daemon_peak_mib?.toFixed(0),
          row.agent_peak_mib.toFixed(2),
        ]),
      },
    ],
    verdicts: reached([
      {
        promise: `${large?.mib ?? 0} MiB in and out, every byte`,
        measured: `${broken} of ${rows.length} not whole`,
        held: broken === 0 && rows.length > 0,
        decides: true,
      },
      flat('daemon', rows, ({ daemon_peak_mib }) => daemon_peak_mib),
      flat('agent', rows, ({ agent_peak_mib }) => agent_peak_mib),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

/** Whether the large file took no more than the small one. */
function flat(
  who: string,
  rows: readonly Row[],
  peak: (row: Row) => number | undefined,
): Verdict | undefined {
  const most = (large: boolean): number =>
    Math.max(...rows.filter(({ mib }) => mib > SMALL_MIB === large).map((row) => peak(row) ?? NaN));
  const growthMiB = most(true) - most(false);
  if (Number.isNaN(growthMiB)) return undefined;
  return {
    promise: `the ${who} takes at most ${MAX_GROWTH_MIB} MiB more for it than for ${SMALL_MIB} MiB`,
    measured: `${growthMiB.toFixed(1)} MiB more`,
    held: growthMiB <= MAX_GROWTH_MIB,
    decides: true,
  };
}
