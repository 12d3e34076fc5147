/**
 * What may be asked of the benchmarks, and what they answer. The command line loads this file for its options, and the
 * benchmarks themselves only when they are to run.
 */
import type { BoughEvent } from '../contract/index.js';
import type { Bough } from '../sdk/index.js';
import type { WantedAccelerator } from '../vmm/index.js';

/** Every benchmark, in the order in which all of them run. */
export const benchmarkNames = [
  'pause',
  'seen',
  'consecutive',
  'chains',
  'history',
  'rollback',
  'checkpoints',
  'aftermath',
  'busy-host',
  'ram-size',
  'rewriter',
  'disk-writer',
  'random-writer',
  'spawn',
  'warm-spawn',
  'own-clock',
  'exec',
  'exec-load',
  'exec-output',
  'ports',
  'network',
  'streams',
  'transfers',
  'import',
  'hub',
  'service',
] as const;
export type BenchmarkName = (typeof benchmarkNames)[number];

export const ownModes = ['live-sync', 'live-async', 'diff', 'full'] as const;
export const stockModes = ['stock-background-snapshot', 'stock-savevm', 'stock-stop-copy'] as const;
/** Rows of the pause benchmark; `control` is one without any branch, for the probes. */
export const pauseModes = [...ownModes, ...stockModes, 'control'] as const;
export type PauseMode = (typeof pauseModes)[number];

/** A daemon of the benchmarks' own. `close()` leaves nothing that it started. */
export interface BenchDaemon {
  readonly client: Bough;
  readonly pid: number;
  readonly close: () => Promise<void>;
}

/** Starts one over empty folders; `onEvent` is told of what happens in it. */
export type StartDaemon = (options: {
  readonly signal: AbortSignal;
  readonly onEvent: (event: BoughEvent) => void;
  /** For `bough serve`, besides those of its folders. */
  readonly flags?: readonly string[];
}) => Promise<BenchDaemon>;

export interface BenchRequest {
  /** Absent: all of them, with a report. */
  readonly benchmark?: BenchmarkName | undefined;
  readonly sourceTag: string;
  /** Made into the source snapshot where there is none of that tag. */
  readonly image: string;
  /** Absent: as many as each benchmark needs. */
  readonly iterations?: number | undefined;
  readonly modes: readonly PauseMode[];
  /** Watch each pause from inside the guest and over TCP; keeps the guest busy. */
  readonly probes: boolean;
  /** A writer in the source of the pause benchmark; 0 leaves it idle. */
  readonly dirtyMiBPerSecond: number;
  readonly cacheDir: string;
  /** What the daemon is started with, for the machines that are not its own. */
  readonly qemuPath?: string | undefined;
  readonly accelerator?: WantedAccelerator | undefined;
  /** A daemon that runs already; absent, one is started and ended. */
  readonly daemon?: Bough | undefined;
  readonly startDaemon: StartDaemon;
  readonly signal: AbortSignal;
  /** Progress, for whoever waits. */
  readonly say: (words: string) => void;
}

export interface BenchOutcome {
  /** Host facts, tables and verdicts for a terminal. */
  readonly text: string;
  /** The same with every row, for programs. */
  readonly json: unknown;
  /** Rows of one benchmark; undefined for all of them. */
  readonly csv: string | undefined;
  /** Path of the report that was written, for all of them. */
  readonly reportPath: string | undefined;
  /** Whether a promise that decides was missed. */
  readonly missed: boolean;
}

/** Runs the benchmarks; whatever happens, nothing that they started is left. */
export type RunBench = (request: BenchRequest) => Promise<BenchOutcome>;
