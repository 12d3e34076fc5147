/** How many branches may be under way at once, and who waits for what of them. */
import { randomInt } from 'node:crypto';
import { monotonicMs, WorkSet } from '../../base/index.js';
import { BoughError, isBoughError } from '../../contract/index.js';
import { NotDurable, type SnapshotView } from '../../store/index.js';
import { startBranch, type BranchSpec, type BranchUnderWay, type BranchWait } from './capture.js';
import type { CallContext } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import { catalogued } from '../host/failures.js';
import { BEING_REMOVED } from '../entity/lifecycle.js';
import type { Sandbox } from '../entity/sandbox.js';

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

  /** Branches and waits as asked; the view is `writing` when only the source was waited for. Throws BoughError. */
  async run(sandbox: Sandbox, spec: BranchSpec, call: CallContext): Promise<SnapshotView> {
    if (this.#underWay.size >= this.#limit) throw new BoughError('too_many_branches', { limit: this.#limit });
    const startMs = monotonicMs();
    const attempt = { operation: 'branch the sandbox', sandboxId: sandbox.id };
    const branching = catalogued(attempt, async () => {
      const starting = startBranch(
        this.#context,
        sandbox,
        { ...spec, tag: spec.tag ?? generatedTag(sandbox) },
        call,
      );
      this.#underWay.add(starting.then((branch) => branch.ready));
      const view = await this.#waited(await starting, spec.wait);
      const branched = {
        id: sandbox.id,
        tag: view.tag,
        mode: spec.mode,
        pauseMs: view.pauseMs,
        durationMs: monotonicMs() - startMs,
        requestId: call.requestId,
        principal: call.principal,
      };
      // Whoever waits is answered first.
      setImmediate(() => this.#context.emit('sandbox.branched', branched));
      return view;
    });
    return branching.catch((error: unknown) => {
      throw explained(sandbox, error);
    });
  }

  /** The snapshot of a branch that was asked for before, as far as `wait` wants it. Throws BoughError. */
  made(tag: string, wait: BranchWait): Promise<SnapshotView> {
    const { store } = this.#context;
    return catalogued({ operation: 'branch the sandbox' }, async () => {
      if (wait === 'running') return store.get(tag);
      return wait === 'ready' ? store.ready(tag) : store.durable(tag);
    });
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await this.#underWay.settled();
  }

  async #waited({ tag, running, ready }: BranchUnderWay, wait: BranchWait): Promise<SnapshotView> {
    const { store, sandboxes } = this.#context;
    if (wait === 'running') {
      await running;
      return store.get(tag);
    }
    const view = await ready;
    if (wait === 'ready') return view;
    try {
      return await store.durable(tag);
    } catch (error) {
      // Who wanted it durable or not at all is not left with something between; one that others use by now stays, with a warning.
      if (error instanceof NotDurable)
        await store.remove(tag, { sandboxesOf: sandboxes.namesOf }).catch(() => undefined);
      throw error;
    }
  }
}

/** A source that ends takes its branch along in many ways; the caller is told the reason and not the way. */
function explained(sandbox: Sandbox, cause: unknown): unknown {
  if (sandbox.isBeingRemoved) {
    return new BoughError('sandbox_not_running', { id: sandbox.id, state: BEING_REMOVED }, { cause });
  }
  const { failure } = sandbox.record;
  const isOfVm = (['vmm_failed', 'source_died', 'branch_not_in_time'] as const).some((code) =>
    isBoughError(cause, code),
  );
  if (failure === undefined || (cause instanceof BoughError && !isOfVm)) return cause;
  return new BoughError('source_died', { id: sandbox.id, reason: failure }, { cause });
}

/** A complete snapshot of a guest that nobody waits for: where it cannot be captured while it runs, it is stopped for it. */
export async function captureAnyway(
  branches: Pick<Branches, 'run'>,
  sandbox: Sandbox,
  spec: Pick<BranchSpec, 'tag' | 'retention'>,
  call: CallContext,
): Promise<SnapshotView> {
  try {
    return await branches.run(sandbox, { ...spec, mode: 'live', wait: 'ready' }, call);
  } catch (error) {
    if (!isBoughError(error, 'mode_unsupported')) throw error;
    return branches.run(sandbox, { ...spec, mode: 'diff', wait: 'ready' }, call);
  }
}

/** A tag nobody has: what it is of, which sandbox, and chance. */
export function generatedTag(sandbox: { readonly id: string }, of = 'branch'): string {
  return `${of}-${sandbox.id.slice(0, 8)}-${randomInt(36 ** 6)
    .toString(36)
    .padStart(6, '0')}`;
}
