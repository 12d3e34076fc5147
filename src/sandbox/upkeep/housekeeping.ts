/**
 * What the host does by itself: it ends sandboxes whose end has come, removes what may go, and asks VMMs again that were silent.
 *
 * Rounds are short and idempotent; whatever one of them leaves undone the next one finds again.
 */
import { type Clock, hostClock, type Rounds, startRounds, WorkSet } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { adoptUnresponsive } from '../adopt/adopt.js';
import { captureAnyway, generatedTag, type Branches } from '../branch/limits.js';
import { Collector, type CollectionReport } from './collector.js';
import { ownCall } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import type { SnapshotView } from '../../store/index.js';
import { SandboxEnds } from './ends.js';
import { checkpointAgeMs } from '../entity/retention.js';
import { newestCheckpoint } from '../timeline/checkpoint.js';
import { ScheduledCheckpoints } from '../timeline/schedule.js';
import type { Sandbox } from '../entity/sandbox.js';

const EXPIRY_ROUND_MS = 1_000;
/** The shortest interval of a schedule is ten of these. */
const CHECKPOINT_ROUND_MS = 100;
const COLLECTION_ROUND_MS = 60_000;
const THINNING_ROUND_MS = 5_000;
const ASK_AGAIN_ROUND_MS = 3_000;

export class Housekeeping {
  readonly #context: HostContext;
  readonly #collector: Collector;
  readonly #ends: SandboxEnds<Sandbox>;
  readonly checkpoints: ScheduledCheckpoints<Sandbox>;
  readonly #stopping = new AbortController();
  readonly #background = new WorkSet();
  #rounds: Rounds[] = [];
  /** There are checkpoints that no collection has looked at. */
  #hasNewPoints = false;

  constructor(context: HostContext, branches: Pick<Branches, 'run'>, clock: Clock = hostClock) {
    this.#context = context;
    this.#collector = new Collector(context, clock);
    const { store, sandboxes, emit } = context;
    const actions = {
      remove: async (sandbox: Sandbox) => {
        await sandboxes.remove(sandbox);
      },
      sandboxes: () => sandboxes.list(),
      chooseTag: (sandbox: Sandbox) => this.#chooseTag(sandbox),
      isCaptured: ({ id }: Sandbox, tag: string) =>
        store.list().some((view) => view.tag === tag && view.status === 'ready' && view.branchedFrom === id),
      capture: (sandbox: Sandbox, tag: string) => captureAnyway(branches, sandbox, { tag }, ownCall()),
      durable: (tag: string, signal: AbortSignal) => store.durable(tag, signal),
      removeSnapshot: (tag: string) => store.remove(tag),
    };
    this.#ends = new SandboxEnds(actions, emit, clock);
    this.checkpoints = new ScheduledCheckpoints(
      {
        sandboxes: () => sandboxes.list(),
        take: async (sandbox, { thinning }) => {
          const spec = { tag: generatedTag(sandbox, 'auto'), retention: { checkpoint: { thinning } } };
          await branches.run(sandbox, { ...spec, mode: 'live', wait: 'ready' }, ownCall());
          this.#hasNewPoints = true;
        },
        newestAgeMs: ({ id }) => {
          const newest = newestCheckpoint(store.list(), id)?.retention?.checkpoint;
          return newest && checkpointAgeMs(newest, clock);
        },
      },
      emit,
      clock,
    );
  }

  /** Begins the rounds. */
  start(): void {
    this.#rounds = [
      startRounds(EXPIRY_ROUND_MS, () => {
        this.#ends.sweep();
        return Promise.resolve();
      }),
      startRounds(CHECKPOINT_ROUND_MS, () => {
        this.checkpoints.sweep();
        return Promise.resolve();
      }),
      startRounds(COLLECTION_ROUND_MS, () => this.#look()),
      startRounds(THINNING_ROUND_MS, () => this.#thin()),
      startRounds(ASK_AGAIN_ROUND_MS, () => this.#askAgain()),
    ];
  }

  /** Begins nothing more, and waits for what is under way; what waits for the disk is left to the next daemon. */
  async stop(): Promise<void> {
    this.#stopping.abort(new BoughError('shutting_down'));
    await Promise.all(this.#rounds.map((rounds) => rounds.stop()));
    await Promise.all([this.#ends.stop(), this.checkpoints.stop()]);
    await this.#background.settled();
  }

  collect(how: { readonly dryRun: boolean }): Promise<CollectionReport> {
    return this.#collector.run(how);
  }

  /** Lets `keep_last` take effect once the branch would survive power loss. */
  afterBranch({ tag, retention }: SnapshotView): void {
    if (retention?.keepLast === undefined) return;
    const work = this.#context.store
      .durable(tag, this.#stopping.signal)
      .then(() => this.#collector.run({ dryRun: false }))
      .catch((err: unknown) => {
        if (!this.#stopping.signal.aborted) this.#context.emit('gc.failed', { err });
      });
    this.#background.add(work);
  }

  async #look(): Promise<void> {
    const { sandboxes, store, emit } = this.#context;
    try {
      for (const sandbox of sandboxes.list()) await sandbox.noteUse();
      await this.#collector.run({ dryRun: false });
      store.persistAgain();
    } catch (err) {
      emit('gc.failed', { err });
    }
  }

  /** A minute of checkpoints each second is too much for a budget. */
  async #thin(): Promise<void> {
    if (!this.#hasNewPoints) return;
    this.#hasNewPoints = false;
    await this.#collector
      .run({ dryRun: false })
      .catch((err: unknown) => this.#context.emit('gc.failed', { err }));
  }

  async #askAgain(): Promise<void> {
    const { sandboxes, emit } = this.#context;
    try {
      await adoptUnresponsive(this.#context);
      for (const sandbox of sandboxes.list()) await sandbox.endStall();
    } catch (err) {
      emit('sandbox.not-asked-again', { err });
    }
  }

  #chooseTag(sandbox: Sandbox): string {
    const tag = sandbox.record.lifetime?.onEndTag;
    if (tag === undefined) return generatedTag(sandbox, 'end');
    const isTaken = this.#context.store.list().some((view) => view.tag === tag && view.status !== 'failed');
    if (isTaken) throw new BoughError('tag_exists', { tag });
    return tag;
  }
}
