/**
 * The pause of a branch, in every mode, next to what stock QEMU offers: one source, modes interleaved in each iteration, every
 * snapshot deleted after its row.
 *
 * A row waits until its snapshot is durable before the next one begins, so that no mode pays for another's writing.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChannelAddress } from '../agent/index.js';
import { ResourceStack, sleep } from '../base/index.js';
import type { BranchMode, Sandbox } from '../contract/index.js';
import {
  discard,
  failureWords,
  freshTag,
  measureBranch,
  untilDurable,
  withSandbox,
  type BenchContext,
} from './context.js';
import { agentOf, longestEchoDuring } from './echo-probe.js';
import { startGapProbe, type GapProbe } from './gap-probe.js';
import { startProgram, writerProgram } from './guest-programs.js';
import { sandboxGuest, type Guest } from './guest.js';
import { pauseTables, pauseVerdicts } from './pause-report.js';
import { pauseColumns, type PauseRow } from './pause-row.js';
import { stockModes, type PauseMode } from './request.js';
import type { Section } from './section.js';
import type { StockMode } from './stock-machine.js';
import { bootStockPeer } from './stock-peer.js';

export interface PauseOptions {
  readonly modes: readonly PauseMode[];
  /** Watch each branch from inside the guest and from outside. Both keep the guest from being idle. */
  readonly probes: boolean;
  readonly onRow?: (row: PauseRow) => void;
}

const BETWEEN_ROWS_MS = 150;
const CONTROL_MS = 300;

const requests = {
  'live-sync': { mode: 'live', wait: true },
  'live-async': { mode: 'live', wait: false },
  diff: { mode: 'diff', wait: true },
  full: { mode: 'full', wait: true },
} as const satisfies Record<string, { mode: BranchMode; wait: boolean }>;

/** Something that can be branched or saved, with its guest watched or not. */
interface Subject {
  measure(mode: PauseMode): Promise<Partial<PauseRow>>;
}

/** Measures `iterations` rows of each mode. A row that fails stays in the table; the run goes on. */
export async function benchPause(context: BenchContext, options: PauseOptions): Promise<Section> {
  const rows: PauseRow[] = [];
  await withSandbox(context, context.sourceTag, async (sandbox) => {
    await using resources = new ResourceStack();
    const own = await ownSubject(context, sandbox, options);
    const stock = options.modes.some(isStock) ? await stockSubject(context, options, resources) : undefined;
    for (let iteration = 1; iteration <= context.iterations; iteration++) {
      for (const mode of options.modes) {
        context.signal.throwIfAborted();
        const subject = isStock(mode) ? stock : own;
        const row = { mode, iteration, ...(await (subject ?? own).measure(mode).catch(failedRow)) };
        context.signal.throwIfAborted();
        rows.push(row);
        options.onRow?.(row);
        await sleep(BETWEEN_ROWS_MS, context.signal);
      }
      context.say(`pause: iteration ${iteration} of ${context.iterations}`);
    }
  });
  return pauseSection(context, options, rows);
}

function pauseSection(
  context: BenchContext,
  { modes, probes }: PauseOptions,
  rows: readonly PauseRow[],
): Section {
  const busy = context.dirtyMiBPerSecond;
  return {
    name: probes ? 'seen' : 'pause',
    title: probes ? 'The pause as seen from inside and from outside' : 'The pause of a branch',
    conditions: [
      `source ${context.sourceTag}, ${busy === 0 ? 'idle' : `a writer at ${busy} MiB/s`}, disk and network attached`,
      `disk: virtio-blk on a qcow2 overlay, no-flush; stock QEMU saves RAM and devices to tmpfs, without the disk but for savevm`,
      'pause: ours from the command given to its reply read, an upper bound; stock’s from QEMU’s STOP event to RESUME, a lower bound',
      ...(modes.includes('stock-background-snapshot')
        ? ['stock’s first background-snapshot pauses far shorter than those after it: see its column “first”']
        : []),
      `n = ${context.iterations} of each mode, interleaved; the first row of each mode is the cold one and is included`,
      ...(probes
        ? [
            'guest gap: longest sleep of 1 ms on the guest’s clock, which stands still while vCPUs do; echo: longest answer of the agent over TCP',
          ]
        : []),
    ],
    tables: pauseTables(modes, rows, probes),
    verdicts: busy === 0 && !probes ? pauseVerdicts(rows) : [],
    csv: { columns: pauseColumns, rows },
  };
}

function isStock(mode: PauseMode): mode is StockMode {
  return (stockModes as readonly PauseMode[]).includes(mode);
}

function failedRow(error: unknown): Partial<PauseRow> {
  return { error: failureWords(error) };
}

async function ownSubject(
  context: BenchContext,
  sandbox: Sandbox,
  { probes }: PauseOptions,
): Promise<Subject> {
  const guest = sandboxGuest(context.client, sandbox.id, context.signal);
  const watch = await watcher(context, guest, agentOf(sandbox), probes);
  return {
    async measure(mode) {
      if (mode === 'control') return (await watch(() => sleep(CONTROL_MS, context.signal))).seen;
      const tag = freshTag();
      try {
        const { result: branch, seen } = await watch(() =>
          measureBranch(context, sandbox.id, { ...requests[mode as keyof typeof requests], tag }),
        );
        const snapshot = await untilDurable(context, tag);
        const memory = await stat(join(snapshot.dir, 'memory.bin')).catch(() => undefined);
        return {
          http_round_trip_ms: branch.httpRoundTripMs,
          pause_ms: branch.pauseMs,
          memory_bin_bytes: memory?.size,
          poll_until_ready_ms: branch.pollUntilReadyMs,
          completion_ms: branch.completionMs,
          memory_bin_physical_bytes: memory === undefined ? undefined : memory.blocks * 512,
          captured_bytes: snapshot.captured_bytes,
          durable: snapshot.durable,
          ...context.pauseParts(tag),
          ...seen,
        };
      } finally {
        await discard(context, tag);
      }
    },
  };
}

async function stockSubject(
  context: BenchContext,
  { probes }: PauseOptions,
  resources: ResourceStack,
): Promise<Subject> {
  const machine = await bootStockPeer(context, resources);
  const watch = await watcher(context, machine.guest, machine.agentAddress, probes);
  await machine.rest();
  return {
    async measure(mode) {
      await machine.wake();
      try {
        const { result: saving, seen } = await watch(() => machine.save(mode as StockMode));
        return {
          pause_ms: saving.pauseMs,
          memory_bin_bytes: saving.fileBytes,
          completion_ms: saving.completionMs,
          ...seen,
        };
      } finally {
        await machine.rest();
      }
    },
  };
}

type Seen = Pick<PauseRow, 'guest_gap_ms' | 'echo_gap_ms'>;

/** Starts the writer where one is asked for; the result runs work under both probes, or under none. */
async function watcher(
  { dirtyMiBPerSecond }: BenchContext,
  guest: Guest,
  agent: ChannelAddress,
  probes: boolean,
): Promise<<T>(work: () => Promise<T>) => Promise<{ result: T; seen: Seen }>> {
  if (dirtyMiBPerSecond > 0) await startProgram(guest, writerProgram, dirtyMiBPerSecond);
  if (!probes) return async (work) => ({ result: await work(), seen: {} });
  const gapProbe: GapProbe = await startGapProbe(guest);
  return async (work) => {
    // One after the other would be two branches; at the same time the echo's own work shows in the gap, in every mode alike.
    const { result, gapMs } = await gapProbe.during(() => longestEchoDuring(agent, work));
    return { result: result.result, seen: { guest_gap_ms: gapMs, echo_gap_ms: result.echoMs } };
  };
}
