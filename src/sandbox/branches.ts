/** How many branches may be under way at once, and who waits for what of them. */
import { randomInt } from 'node:crypto';
import { BoughError, type BranchMode, type BranchWait, type RetentionRequest } from '../contract/index.js';
import type { SnapshotView } from '../store/index.js';
import { startBranch } from './branch.js';
import type { HostContext } from './context.js';
import { catalogued } from './failures.js';
import { retentionOf } from './retention.js';
import { BEING_REMOVED, type Sandbox } from './sandbox.js';

export class Branches {
  readonly #context: HostContext;
  readonly #limit: number;
  readonly #underWay = new Set<Promise<unknown>>();

  /** At most `limit` branches at once, over all sandboxes. */
  constructor(context: HostContext, limit: number) {
    this.#context = context;
    this.#limit = limit;
  }

  get count(): number {
    return this.#underWay.size;
  }

  /** Branches and waits as asked; the view is `writing` for `wait: false`. Throws BoughError. */
  async run(
    sandbox: Sandbox,
    mode: BranchMode,
    tag: string | undefined,
    wait: BranchWait,
    stay: RetentionRequest = {},
  ): Promise<SnapshotView> {
    if (this.#underWay.size >= this.#limit) throw new BoughError('too_many_branches', { limit: this.#limit });
    const attempt = { operation: 'branch the sandbox', sandboxId: sandbox.id };
    const branching = catalogued(attempt, async () => {
      const name = tag ?? madeUpTag(sandbox);
      const starting = startBranch(this.#context, sandbox, {
        mode,
        tag: name,
        announce: wait === false,
        retention: retentionOf(stay, sandbox.record.branchCount + 1),
      });
      this.#count(starting.then((branch) => branch.ready));
      const branch = await starting;
      if (wait === false) {
        await branch.running;
        return this.#context.store.get(name);
      }
      const snapshot = await branch.ready;
      return wait === 'durable' ? this.#context.store.durable(name) : snapshot;
    });
    return branching.catch((error: unknown) => {
      throw explained(sandbox, error);
    });
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  #count(branch: Promise<unknown>): void {
    const ended = branch.catch(() => undefined).finally(() => this.#underWay.delete(ended));
    this.#underWay.add(ended);
  }
}

/** A source that ends takes its branch along in many ways; the caller is told the reason and not the way. */
function explained(sandbox: Sandbox, cause: unknown): unknown {
  if (sandbox.isBeingRemoved) {
    return new BoughError('sandbox_not_running', { id: sandbox.id, state: BEING_REMOVED }, { cause });
  }
  const { failure } = sandbox.record;
  if (failure === undefined || cause instanceof BoughError) return cause;
  return new BoughError('source_died', { id: sandbox.id, reason: failure }, { cause });
}

/** A tag nobody has: what it is of, which sandbox, and chance. */
export function madeUpTag(sandbox: { readonly id: string }, of = 'branch'): string {
  return `${of}-${sandbox.id.slice(0, 8)}-${randomInt(36 ** 6)
    .toString(36)
    .padStart(6, '0')}`;
}
