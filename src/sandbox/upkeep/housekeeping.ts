/**
 * What the host does by itself: it ends sandboxes whose end has come, removes what may go, and asks VMMs again that were silent.
 *
 * Rounds are short and idempotent; whatever one of them leaves undone the next one finds again.
 */
import { type Rounds, startRounds, WorkSet } from '../../base/index.js';
import { BoughError, isBoughError } from '../../contract/index.js';
import { adoptUnresponsive } from '../adopt/adopt.js';
import { generatedTag, type Branches } from '../branch/limits.js';
import { Collector, type CollectionReport } from './collector.js';
import { ownCall } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import type { SnapshotView } from '../../store/index.js';
import { SandboxEnds } from './ends.js';
import type { Sandbox } from '../entity/sandbox.js';

const EXPIRY_ROUND_MS = 1_000;
const COLLECTION_ROUND_MS = 60_000;
const ASK_AGAIN_ROUND_MS = 3_000;

export class Housekeeping {
  readonly #context: HostContext;
  readonly #branches: Branches;
  readonly #collector: Collector;
  readonly #ends: SandboxEnds<Sandbox>;
  readonly #stopping = new AbortController();
  readonly #background = new WorkSet();
  #rounds: Rounds[] = [];

  constructor(context: HostContext, branches: Branches) {
    this.#context = context;
    this.#branches = branches;
    this.#collector = new Collector(context);
    const { store, sandboxes, emit } = context;
    const actions = {
      remove: async (sandbox: Sandbox) => {
        await sandboxes.remove(sandbox);
      },
      sandboxes: () => sandboxes.list(),
      chooseTag: (sandbox: Sandbox) => this.#chooseTag(sandbox),
      isCaptured: ({ id }: Sandbox, tag: string) =>
        store.list().some((view) => view.tag === tag && view.status === 'ready' && view.branchedFrom === id),
      capture: (sandbox: Sandbox, tag: string) => this.#capture(sandbox, tag),
      durable: (tag: string, signal: AbortSignal) => store.durable(tag, signal),
      removeSnapshot: (tag: string) => store.remove(tag),
    };
    this.#ends = new SandboxEnds(actions, emit);
  }

  /** Begins the rounds. */
  start(): void {
    this.#rounds = [
      startRounds(EXPIRY_ROUND_MS, () => {
        this.#ends.sweep();
        return Promise.resolve();
      }),
      startRounds(COLLECTION_ROUND_MS, () => this.#look()),
      startRounds(ASK_AGAIN_ROUND_MS, () => this.#askAgain()),
    ];
  }

  /** Begins nothing more, and waits for what is under way; what waits for the disk is left to the next daemon. */
  async stop(): Promise<void> {
    this.#stopping.abort(new BoughError('shutting_down'));
    await Promise.all(this.#rounds.map((rounds) => rounds.stop()));
    await this.#ends.stop();
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

  /** Nobody waits for the guest any more: where it cannot be captured while it runs, it is stopped for it. */
  async #capture(sandbox: Sandbox, tag: string): Promise<void> {
    try {
      await this.#branches.run(sandbox, { mode: 'live', tag, wait: 'ready' }, ownCall());
    } catch (error) {
      if (!isBoughError(error, 'mode_unsupported')) throw error;
      await this.#branches.run(sandbox, { mode: 'diff', tag, wait: 'ready' }, ownCall());
    }
  }
}
