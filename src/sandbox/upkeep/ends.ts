/**
 * Ending sandboxes whose end has come.
 *
 *   due ─ kill ──────────────────────────────────────────────────────────▶ removed
 *     └── snapshot ─▶ tag noted in the record ─▶ branched ─▶ durable ────▶ removed
 *                          ▲                       └─ failed ─▶ runs on, with a warning ─▶ tried again later
 *                          └─ a daemon that finds the note goes on from here
 *
 * Once its removal has begun nothing is undone, since its VM may be gone: the snapshot stays, and the removal is tried again, also
 * one that somebody asked for.
 *
 * From the note on the sandbox takes no calls: what happened in it after the branch would be lost. Invariant: a sandbox that is to
 * end with a snapshot is removed only after that snapshot would survive power loss; losing work is worse than running on.
 */
import pLimit from 'p-limit';
import { type Clock, failpoint, hostClock, messageOf } from '../../base/index.js';
import { isBoughError, type Emit } from '../../contract/index.js';
import type { LifetimeClock, Lifetime } from '../entity/lifetime.js';

const FIRST_RETRY_MS = 30_000;
const LAST_RETRY_MS = 600_000;
/** Leaves room for the branches that people ask for. */
const CONCURRENT_SNAPSHOTS = 2;

/** What of a sandbox matters here. */
export interface SandboxWithEnd {
  readonly id: string;
  readonly state: string;
  readonly isBranching: boolean;
  readonly isRollingBack: boolean;
  readonly isBeingRemoved: boolean;
  readonly isHalfRemoved: boolean;
  readonly lifetime: LifetimeClock;
  readonly record: { readonly lifetime?: Lifetime | undefined; readonly endTag?: string | undefined };
  /** Notes under which tag its last snapshot is taken, or that none is any more. */
  noteEnd(tag: string | undefined): Promise<void>;
}

/** What ending takes; each throws what went wrong. */
export interface EndActions<S extends SandboxWithEnd> {
  readonly sandboxes: () => readonly S[];
  /** Ends the VM and forgets the sandbox. */
  readonly remove: (sandbox: S) => Promise<void>;
  /** Chooses the tag of the last snapshot. Throws when the one that was asked for is taken. */
  readonly chooseTag: (sandbox: S) => string;
  /** True when the tag is a complete snapshot of that very sandbox. */
  readonly isCaptured: (sandbox: S, tag: string) => boolean;
  /** Resolves when the snapshot is complete. */
  readonly capture: (sandbox: S, tag: string) => Promise<unknown>;
  /** Resolves when the snapshot would survive power loss. */
  readonly durable: (tag: string, signal: AbortSignal) => Promise<unknown>;
  /** Removes a snapshot that cannot be made durable. */
  readonly removeSnapshot: (tag: string) => Promise<unknown>;
}

interface Retry {
  readonly atMs: number;
  readonly delayMs: number;
}

export class SandboxEnds<S extends SandboxWithEnd> {
  readonly #actions: EndActions<S>;
  readonly #emit: Emit;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #snapshots = pLimit(CONCURRENT_SNAPSHOTS);
  readonly #ending = new Map<string, Promise<void>>();
  readonly #retries = new Map<string, Retry>();

  constructor(actions: EndActions<S>, emit: Emit, clock: Clock = hostClock) {
    this.#actions = actions;
    this.#emit = emit;
    this.#clock = clock;
  }

  /** Begins to end what is due. */
  sweep(): void {
    if (this.#stopping.signal.aborted) return;
    const sandboxes = this.#actions.sandboxes();
    const ids = new Set(sandboxes.map(({ id }) => id));
    for (const id of this.#retries.keys()) if (!ids.has(id)) this.#retries.delete(id);
    for (const sandbox of sandboxes) {
      const why = this.#due(sandbox);
      if (why === undefined) continue;
      const ending = this.#end(sandbox, why).finally(() => this.#ending.delete(sandbox.id));
      this.#ending.set(sandbox.id, ending);
    }
  }

  /** Begins no further end; what waits for a snapshot to become durable is left to the next daemon. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('The daemon is stopping'));
    await this.settled();
  }

  /** Resolves when nothing is being ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#ending.values());
  }

  #due(sandbox: S): string | undefined {
    const { id, lifetime, record } = sandbox;
    const isClaimed = sandbox.isBranching || sandbox.isRollingBack;
    const isTaken = isClaimed || (sandbox.isBeingRemoved && !sandbox.isHalfRemoved);
    if (this.#ending.has(id) || isTaken) return undefined;
    const begun = record.endTag === undefined ? undefined : 'its end has begun before';
    const why = sandbox.isHalfRemoved ? 'its removal has begun before' : (begun ?? lifetime.due());
    if (why === undefined) {
      lifetime.warning = undefined;
      this.#retries.delete(id);
      return undefined;
    }
    const retry = this.#retries.get(id);
    return retry !== undefined && this.#clock.bootMs() < retry.atMs ? undefined : why;
  }

  async #end(sandbox: S, why: string): Promise<void> {
    const { id, record } = sandbox;
    try {
      const endsWithSnapshot = record.lifetime?.onEnd === 'snapshot' && !sandbox.isHalfRemoved;
      if (endsWithSnapshot || record.endTag !== undefined) {
        if (!(await this.#snapshots(() => this.#capture(sandbox)))) return;
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) await this.#postpone(sandbox, why, error);
      return;
    }
    if (this.#stopping.signal.aborted) return;
    try {
      await this.#actions.remove(sandbox);
      this.#emit('sandbox.ended', { id, why, snapshot: sandbox.record.endTag });
    } catch (error) {
      this.#retryLater(sandbox, why, error);
    }
  }

  /** True with a durable snapshot of the sandbox in place; false where it is not to end now. */
  async #capture(sandbox: S): Promise<boolean> {
    if (this.#stopping.signal.aborted || !this.#isStillDue(sandbox)) return false;
    const tag = sandbox.record.endTag ?? this.#actions.chooseTag(sandbox);
    if (sandbox.record.endTag === undefined) await sandbox.noteEnd(tag);
    await failpoint('end.noted');
    if (!this.#actions.isCaptured(sandbox, tag)) await this.#actions.capture(sandbox, tag);
    await failpoint('end.captured');
    await this.#actions.durable(tag, this.#stopping.signal);
    await failpoint('end.durable');
    return true;
  }

  /** It may have waited for its turn, and was anybody's until then. */
  #isStillDue(sandbox: S): boolean {
    if (sandbox.record.endTag !== undefined) return true;
    const isThere = this.#actions.sandboxes().includes(sandbox) && !sandbox.isRollingBack;
    return isThere && sandbox.lifetime.due() !== undefined;
  }

  /** Gives the sandbox back to its users until the next try. */
  async #postpone(sandbox: S, why: string, error: unknown): Promise<void> {
    const { id, record } = sandbox;
    const { endTag } = record;
    if (endTag !== undefined) {
      if (this.#actions.isCaptured(sandbox, endTag)) {
        await this.#actions.removeSnapshot(endTag).catch((err: unknown) => {
          this.#emit('sandbox.end-snapshot-left', { id, tag: endTag, err });
        });
      }
      await sandbox.noteEnd(undefined).catch(() => undefined);
    }
    if (isBoughError(error, 'branch_in_progress') || isBoughError(error, 'too_many_branches')) return;
    this.#retryLater(sandbox, why, error);
  }

  #retryLater({ id, lifetime }: S, why: string, error: unknown): void {
    const before = this.#retries.get(id)?.delayMs ?? FIRST_RETRY_MS / 2;
    const delayMs = Math.min(2 * before, LAST_RETRY_MS);
    this.#retries.set(id, { delayMs, atMs: this.#clock.bootMs() + delayMs });
    const problem = messageOf(error);
    lifetime.warning = `Its end has come (${why}), but it is kept: ${problem}`;
    this.#emit('sandbox.not-ended', { id, why, retryMs: delayMs, err: error });
  }
}
