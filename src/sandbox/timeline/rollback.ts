/**
 * Taking a sandbox back to a snapshot: a VM of the snapshot takes the place of the one there is.
 *
 *   claimed ─▶ VM restored beside ─▶ branch under way over ─▶ state of before kept ─▶ it answers ─▶ record written ─▶ listed ─▶ old VM ended
 *           └──────────── whatever fails: the new VM goes, the sandbox runs on as it was ──────────┘ switched
 *
 * The new VM stands in folders of its own, with a record of the sandbox's id and the next generation: the write of that record, once it
 * names the process, is the switch. A daemon killed before it leaves the sandbox as it was, one killed after it leaves it rolled back, and
 * the next one ends whichever VM is not the sandbox's.
 *
 * What the sandbox is stays: id, name, metadata, variables, network policy, end, counts. What it consists of is the snapshot's, which may
 * be anybody's. From the claim on nobody is let into the guest: what happened there after its state was kept would be lost.
 *
 * Not handled: connections to the guest and programs in it. They end with the old VM, and calls that waited for them are told so.
 */
import { rm } from 'node:fs/promises';
import { AgentClient } from '../../agent/index.js';
import { compact, failpoint, monotonicMs, orAborted, ResourceStack, unixSeconds } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Lease, SnapshotView } from '../../store/index.js';
import { captureAnyway, generatedTag, type Branches } from '../branch/limits.js';
import { writeRecord, type SandboxFields, type SandboxRecord } from '../entity/record.js';
import { Sandbox } from '../entity/sandbox.js';
import type { CallContext } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import { catalogued } from '../host/failures.js';
import { restore, type RestorePlan, type Restored, type RestoredFields } from '../start/restore.js';
import type { Starts } from '../start/starts.js';
import { newestCheckpoint } from './checkpoint.js';
import { DEFAULT_THINNING } from './thinning.js';

const ANSWER_DEADLINE_MS = 10_000;
/** How many of the latest requests a sandbox knows. */
const KNOWN_REQUESTS = 32;

export interface RollbackSpec {
  /** Where to: any snapshot; the sandbox's newest checkpoint when absent. */
  readonly tag?: string | undefined;
  /** Whether the state of before becomes a checkpoint, which a VM that has ended has none of. */
  readonly keep: boolean;
  /** Name of that checkpoint; made up when absent. */
  readonly keepTag?: string | undefined;
}

export interface RolledBack {
  readonly sandbox: Sandbox;
  /** The state of before. */
  readonly kept?: SnapshotView;
}

/** What needs a VM; tests have their own. */
export interface RollbackSteps {
  readonly restore: typeof restore;
  /** Resolves when the guest has answered a call. */
  readonly answers: (made: Restored, signal: AbortSignal) => Promise<unknown>;
}

export class Rollbacks {
  readonly #context: HostContext;
  readonly #starts: Pick<Starts, 'one'>;
  readonly #branches: Pick<Branches, 'run'>;
  readonly #steps: RollbackSteps;

  constructor(
    context: HostContext,
    starts: Pick<Starts, 'one'>,
    branches: Pick<Branches, 'run'>,
    steps: RollbackSteps = { restore, answers },
  ) {
    this.#context = context;
    this.#starts = starts;
    this.#branches = branches;
    this.#steps = steps;
  }

  /**
   * Resolves when the sandbox stands at the snapshot and the VM of before is gone. Throws `rollback_in_progress`, `sandbox_not_running`,
   * `no_checkpoint`, and what a start and a branch can fail with; then the sandbox is as it was.
   */
  async run(sandbox: Sandbox, spec: RollbackSpec, call: CallContext): Promise<RolledBack> {
    const { id } = sandbox;
    const startMs = monotonicMs();
    const release = sandbox.claimForRollback();
    try {
      const tag = spec.tag ?? this.#newest(id);
      // Whoever has a key asks again, and wants it done by then.
      const caller = call.key ? sandbox.removalBegun : AbortSignal.any([call.signal, sandbox.removalBegun]);
      const attempt = { operation: 'roll back the sandbox', sandboxId: id };
      const done = await catalogued(attempt, async () => {
        // Which may take minutes: no turn of those that start VMs is held meanwhile.
        await orAborted(sandbox.branchOver, caller);
        return this.#starts.one(tag, caller, (lease, signal) =>
          this.#replace(sandbox, lease, { spec, call, signal }),
        );
      });
      this.#context.emit('sandbox.rolled-back', {
        ...{ id, tag, kept: done.kept?.tag, durationMs: monotonicMs() - startMs },
        ...{ requestId: call.requestId, principal: call.principal },
      });
      return done;
    } catch (err) {
      this.#context.emit('sandbox.not-rolled-back', { id, tag: spec.tag, err });
      throw err;
    } finally {
      release();
    }
  }

  #newest(id: string): string {
    const found = newestCheckpoint(this.#context.store.list(), id);
    if (found === undefined) throw new BoughError('no_checkpoint', { id });
    return found.tag;
  }

  async #replace(old: Sandbox, lease: Lease, how: How): Promise<RolledBack> {
    const { sandboxes, vmHost, emit, networks, store } = this.#context;
    const { signal } = how;
    await using undo = new ResourceStack();
    const made = await this.#steps.restore(this.#context, lease, planFor(old.record, lease), undo, signal);
    await failpoint('rollback.restored');
    await orAborted(old.branchOver, signal);
    const kept = how.spec.keep && old.state !== 'failed' ? await this.#keep(old, how) : undefined;
    if (kept !== undefined) undo.defer(() => store.remove(kept.tag).catch(() => undefined));
    await this.#steps.answers(made, signal);
    signal.throwIfAborted();
    // Gone before its VM is: else a daemon that dies in between takes it for the sandbox's.
    undo.defer(() => rm(made.paths.record, { force: true }));
    const rollbacks = withRequest(old.record.rollbacks, how.call, kept);
    const record = { ...made.record, ...staying(old.record), rollbacks, lastUsedAtUnix: unixSeconds() };
    await writeRecord(made.paths.record, record);
    await failpoint('rollback.switched');
    undo.move();
    const { seccomp } = vmHost.qemu;
    const sandbox = Sandbox.running(made.paths, record, made.vm, { seccomp, emit, networks });
    sandboxes.add(sandbox);
    await old.giveWay().catch((err: unknown) => {
      emit('vmm.orphan-left', { name: old.paths.id, pid: old.record.process?.pid ?? 0, err });
    });
    return { sandbox, ...compact({ kept }) };
  }

  async #keep(sandbox: Sandbox, { spec, call }: How): Promise<SnapshotView> {
    const { thinning = DEFAULT_THINNING } = sandbox.record.checkpoints ?? {};
    const tag = spec.keepTag ?? generatedTag(sandbox, 'before');
    return captureAnyway(this.#branches, sandbox, { tag, retention: { checkpoint: { thinning } } }, call);
  }
}

interface How {
  readonly spec: RollbackSpec;
  readonly call: CallContext;
  readonly signal: AbortSignal;
}

function withRequest(
  known: SandboxRecord['rollbacks'],
  { key }: CallContext,
  kept: SnapshotView | undefined,
): SandboxRecord['rollbacks'] {
  if (key === undefined) return known;
  return [...(known ?? []), { ...key, ...compact({ kept: kept?.tag }) }].slice(-KNOWN_REQUESTS);
}

function answers({ record, vm }: Restored, signal: AbortSignal): Promise<unknown> {
  const agent = new AgentClient({ ...vm.agentAddress, secret: record.agent.secret });
  return agent.ping({ timeoutMs: ANSWER_DEADLINE_MS, signal });
}

/** The network is the sandbox's; which name an address stands for, the guest that is restored knows from its own source. */
function planFor(record: SandboxRecord, { manifest }: Lease): RestorePlan {
  const { id, network: policy, memoryLimitMiB } = record;
  return {
    id,
    ...compact({ memoryLimitMiB }),
    network: policy && { policy, names: manifest.network?.names ?? [] },
    record: (_vmName, restored) => ({ ...restored, ...staying(record) }),
  };
}

/** What a sandbox is, whatever it consists of. */
function staying({ id, generation = 0, createdAtUnix, branchCount, ...rest }: SandboxRecord): Staying {
  const { name, metadata, env, memoryLimitMiB, network, lifetime, parent, requestKey } = rest;
  const { lastBranchMemoryPath, checkpoints, rollbacks } = rest;
  return {
    ...{ id, generation: generation + 1, createdAtUnix, branchCount },
    ...compact({ name, metadata, env, memoryLimitMiB, network, lifetime, parent, requestKey }),
    ...compact({ lastBranchMemoryPath, checkpoints, rollbacks }),
  };
}

type Staying = Omit<SandboxFields, keyof RestoredFields>;
