/** What a model of timelines knows of sandboxes and snapshots, and what it picks from. */
import type { SandboxRecord } from '../../src/sandbox/entity/record.js';
import type { Thinning } from '../../src/store/index.js';
import { ROOM } from './thinning-rules.js';
import type { Step } from './timeline-world.js';

/** What schedules and checkpoints are thinned out by. */
export const RULES: readonly Thinning[] = [
  { keep: [{ withinSecs: 5 }], maxBytes: ROOM },
  { keep: [{ withinSecs: 3 }, { withinSecs: 30, everySecs: 10 }], maxBytes: ROOM },
  { keep: [{ withinSecs: 1000 }], maxBytes: 1 },
];
export const POLICY = { mode: 'list' as const, rules: [], presets: [], max_connections: 8 };

/** What a model knows of a sandbox. */
export interface ModelSandbox {
  number: number;
  isRunning: boolean;
  tag: string;
  branchCount: number;
  schedule: SandboxRecord['checkpoints'];
  readonly staying: Staying;
}

type Staying = ReturnType<typeof stayingOf>;

/** What nothing changes of a sandbox. */
export const stayingOf = ({
  id,
  name,
  metadata,
  env,
  network,
  lifetime,
  parent,
  createdAtUnix,
}: SandboxRecord) => ({
  ...{ id, name, metadata, env, network, lifetime, parent, createdAtUnix },
});

/** And of a snapshot. */
export interface ModelSnapshot {
  readonly number: number;
  readonly parent: string;
  /** Whose checkpoint it is, and its how-manieth branch. */
  readonly of: string | undefined;
  readonly ordinal: number;
  readonly atBootMs: number;
  readonly atUnixMs: number;
  /** Undefined for one that stays. */
  readonly thinning: Thinning | undefined;
}

/** Where something else may happen meanwhile. */
export const STEPS: readonly Step[] = ['restored', 'capture', 'captured', 'answers'];
/** Where a rollback may fail: at a step of the world, or at a failpoint. */
export const FAULTS = [
  ...(['restored', 'capture', 'answers'] as const),
  ...(['rollback.restored', 'record.changed', 'rollback.switched'] as const),
];
export type Fault = (typeof FAULTS)[number];
