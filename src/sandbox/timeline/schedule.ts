/**
 * Checkpoints at intervals: which sandbox is due, one checkpoint of each at a time.
 *
 *   due ─▶ taken ─────────────────────────────▶ due again an interval after it was due
 *     ▲      └─ failed ─▶ told, and waits longer ─┐
 *     └───────────────────────────────────────────┘
 *
 * The schedule is a fact of the sandbox's record, so the next daemon goes on with it. What is not running is not due: nothing changes in
 * it. Somebody else's branch or rollback comes first, which is no failure.
 *
 * A checkpoint is no use of the sandbox: one that nobody uses ends as it would without.
 */
import pLimit from 'p-limit';
import { type Clock, hostClock, messageOf } from '../../base/index.js';
import { isBoughError, type Emit, type ErrorCode } from '../../contract/index.js';
import type { CheckpointSchedule } from '../entity/record.js';

/** Leaves room for the branches that people ask for. */
const CONCURRENT_CHECKPOINTS = 2;
const LAST_RETRY_MS = 300_000;
/** Somebody else is at work on it. */
const IN_THE_WAY: readonly ErrorCode[] = [
  'branch_in_progress',
  'rollback_in_progress',
  'sandbox_rolled_back',
  'too_many_branches',
];

/** What of a sandbox matters here. */
export interface ScheduledSandbox {
  readonly id: string;
  readonly state: string;
  readonly record: { readonly checkpoints?: CheckpointSchedule | undefined };
  readonly isBranching: boolean;
  takes(request: 'ask-for-branch'): boolean;
}

export interface CheckpointActions<S extends ScheduledSandbox> {
  readonly sandboxes: () => readonly S[];
  /** Resolves when the checkpoint is complete. */
  readonly take: (sandbox: S, schedule: CheckpointSchedule) => Promise<unknown>;
  /** How long ago its newest checkpoint was taken; undefined where there is none. */
  readonly newestAgeMs: (sandbox: S) => number | undefined;
}

interface Turn {
  /** By which it was reckoned: another one begins anew. */
  readonly schedule: CheckpointSchedule;
  dueMs: number;
  /** How long it waited after the last failure. */
  delayMs?: number | undefined;
  warning?: string | undefined;
}

export class ScheduledCheckpoints<S extends ScheduledSandbox> {
  readonly #actions: CheckpointActions<S>;
  readonly #emit: Emit;
  readonly #clock: Clock;
  readonly #turns = new Map<string, Turn>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #limit = pLimit(CONCURRENT_CHECKPOINTS);
  #isStopping = false;

  constructor(actions: CheckpointActions<S>, emit: Emit, clock: Clock = hostClock) {
    this.#actions = actions;
    this.#emit = emit;
    this.#clock = clock;
  }

  /** Begins those that are due. */
  sweep(): void {
    if (this.#isStopping) return;
    const scheduled = this.#actions.sandboxes().filter(({ record }) => record.checkpoints !== undefined);
    const ids = new Set(scheduled.map(({ id }) => id));
    for (const id of this.#turns.keys()) if (!ids.has(id)) this.#turns.delete(id);
    for (const sandbox of scheduled) {
      const { id, record, state } = sandbox;
      if (record.checkpoints === undefined || this.#underWay.has(id)) continue;
      const turn = this.#turnOf(sandbox, record.checkpoints);
      const isFree = state === 'running' && !sandbox.isBranching && sandbox.takes('ask-for-branch');
      if (!isFree || this.#clock.bootMs() < turn.dueMs) continue;
      const taking = this.#limit(() => this.#take(sandbox, turn)).finally(() => this.#underWay.delete(id));
      this.#underWay.set(id, taking);
    }
  }

  /** Why the last checkpoint of a sandbox failed, until one succeeds. */
  warningOf(id: string): string | undefined {
    return this.#turns.get(id)?.warning;
  }

  /** Begins no more, and waits for those under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.settled();
  }

  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  #turnOf(sandbox: S, schedule: CheckpointSchedule): Turn {
    const known = this.#turns.get(sandbox.id);
    if (known?.schedule === schedule) return known;
    const ageMs = this.#actions.newestAgeMs(sandbox) ?? Infinity;
    const leftMs = Math.max(0, schedule.everySecs * 1000 - ageMs);
    const turn = { schedule, dueMs: this.#clock.bootMs() + leftMs };
    this.#turns.set(sandbox.id, turn);
    return turn;
  }

  #hasStopped(): boolean {
    return this.#isStopping;
  }

  async #take(sandbox: S, turn: Turn): Promise<void> {
    if (this.#hasStopped()) return;
    const everyMs = turn.schedule.everySecs * 1000;
    try {
      await this.#actions.take(sandbox, turn.schedule);
      turn.delayMs = undefined;
      turn.warning = undefined;
      // In step with the schedule; one that took longer than the interval leaves the guest an interval all the same.
      const nextMs = turn.dueMs + everyMs;
      turn.dueMs = nextMs < this.#clock.bootMs() ? this.#clock.bootMs() + everyMs : nextMs;
    } catch (err) {
      if (this.#hasStopped() || IN_THE_WAY.some((code) => isBoughError(err, code))) return;
      turn.delayMs = Math.min(2 * (turn.delayMs ?? everyMs / 2), Math.max(everyMs, LAST_RETRY_MS));
      turn.dueMs = this.#clock.bootMs() + turn.delayMs;
      turn.warning = messageOf(err);
      this.#emit('sandbox.no-checkpoint', { id: sandbox.id, retryMs: turn.delayMs, err });
    }
  }
}
