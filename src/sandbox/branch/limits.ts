/** How many branches may be under way at once, and who waits for what of them. */
import { randomInt } from 'node:crypto';
import { WorkSet } from '../../base/index.js';
import {
  BoughError,
  isBoughError,
  type BranchMode,
  type BranchWait,
  type RetentionRequest,
} from '../../contract/index.js';
import { NotDurable, type RequestKey, type SnapshotView } from '../../store/index.js';
import { startBranch } from './capture.js';
import type { HostContext } from '../host/context.js';
import { catalogued } from '../host/failures.js';
import { retentionOf } from '../upkeep/retention.js';
import { BEING_REMOVED, type Sandbox } from '../entity/sandbox.js';

/** A branch as it was asked for. */
export interface BranchOrder {
  readonly mode: BranchMode;
  /** Default: a made-up one. */
  readonly tag?: string | undefined;
  readonly wait: BranchWait;
  readonly stay?: RetentionRequest;
  readonly requestKey?: RequestKey | undefined;
}

export class Branches {
  readonly #context: HostContext;
  readonly #limit: number;
  readonly #underWay = new WorkSet();

  /** At most `limit` branches at once, over all sandboxes. */
  constructor(context: HostContext, limit: number) {
    this.#context = context;
    this.#limit = limit;
  }

  get count(): number {
    return this.#underWay.size;
  }

  /** Branches and waits as asked; the view is `writing` for `wait: false`. Throws BoughError. */
  async run(sandbox: Sandbox, order: BranchOrder): Promise<SnapshotView> {
    if (this.#underWay.size >= this.#limit) throw new BoughError('too_many_branches', { limit: this.#limit });
    const attempt = { operation: 'branch the sandbox', sandboxId: sandbox.id };
    const branching = catalogued(attempt, async () => {
      const { mode, tag = madeUpTag(sandbox), wait, stay = {}, requestKey } = order;
      const starting = startBranch(this.#context, sandbox, {
        mode,
        tag,
        announce: wait === false,
        retention: retentionOf(stay, sandbox.record.branchCount + 1),
        requestKey,
      });
      this.#underWay.add(starting.then((branch) => branch.ready));
      const branch = await starting;
      await (wait === false ? branch.running : branch.ready);
      return this.#whenAsFarAs(wait, tag).catch(async (error: unknown) => {
        // Who wanted it durable or not at all is not left with something between; one that others use by now stays, with a warning.
        const { store, sandboxes } = this.#context;
        if (error instanceof NotDurable)
          await store.delete(tag, { sandboxesOf: sandboxes.namesOf }).catch(() => undefined);
        throw error;
      });
    });
    return branching.catch((error: unknown) => {
      throw explained(sandbox, error);
    });
  }

  /** The snapshot of a branch that was asked for before, as far as `wait` wants it. Throws BoughError. */
  made(tag: string, wait: BranchWait): Promise<SnapshotView> {
    return catalogued({ operation: 'branch the sandbox' }, () => this.#whenAsFarAs(wait, tag));
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await this.#underWay.settled();
  }

  async #whenAsFarAs(wait: BranchWait, tag: string): Promise<SnapshotView> {
    const { store } = this.#context;
    if (wait === false) return store.get(tag);
    return wait === 'durable' ? store.durable(tag) : store.ready(tag);
  }
}

/** A source that ends takes its branch along in many ways; the caller is told the reason and not the way. */
function explained(sandbox: Sandbox, cause: unknown): unknown {
  if (sandbox.isBeingRemoved) {
    return new BoughError('sandbox_not_running', { id: sandbox.id, state: BEING_REMOVED }, { cause });
  }
  const { failure } = sandbox.record;
  const isOfVm = isBoughError(cause, 'vmm_failed') || isBoughError(cause, 'source_died');
  if (failure === undefined || (cause instanceof BoughError && !isOfVm)) return cause;
  return new BoughError('source_died', { id: sandbox.id, reason: failure }, { cause });
}

/** A tag nobody has: what it is of, which sandbox, and chance. */
export function madeUpTag(sandbox: { readonly id: string }, of = 'branch'): string {
  return `${of}-${sandbox.id.slice(0, 8)}-${randomInt(36 ** 6)
    .toString(36)
    .padStart(6, '0')}`;
}
