/**
 * This machine as a host of sandboxes: the use cases behind the HTTP API, over one store and one registry.
 *
 * Everything a caller can do is one method here, and each turns what its parts throw into the error catalogue once. A method called
 * without a context is called by the daemon itself.
 */
import type {
  BranchRequest,
  BranchWait,
  CompactRequest,
  CreateSnapshotRequest,
  DeleteSnapshotOptions,
  EvalRequest,
  EvalResult,
  ExecRequest,
  ExecResult,
  ForkRequest,
  ForkResult,
  GcRequest,
  GcResult,
  PingResult,
  RetentionRequest,
  Sandbox as WireSandbox,
  SandboxState,
  Snapshot,
  SnapshotInfo,
  SnapshotStatus,
  SpawnRequest,
  TimeoutRequest,
} from '../../contract/index.js';
import { BoughError, isBoughError } from '../../contract/index.js';
import { anyOf, compact, withDeadline } from '../../base/index.js';
import type { SnapshotView } from '../../store/index.js';
import { Branches } from '../branch/limits.js';
import { ownCall, type CallContext } from './call.js';
import type { HostContext } from './context.js';
import { createSnapshot } from '../start/create-snapshot.js';
import { catalogued } from './failures.js';
import { HotTier } from '../upkeep/hot-tier.js';
import type { BranchOutcome, Host, HostGauges } from './host.js';
import { Housekeeping } from '../upkeep/housekeeping.js';
import { changedTerms, termsOf } from '../entity/lifetime.js';
import { Requests } from './requests.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { ChildOptions } from '../start/spawn.js';
import { Starts } from '../start/starts.js';
import { wireSnapshot, wireSnapshotInfo } from './wire.js';

/** A branch that takes longer is left to its VMM, which runs on, when the host closes. */
const BRANCHES_GRACE_MS = 10_000;

export class LocalHost implements Host {
  readonly #context: HostContext;
  readonly #branches: Branches;
  readonly #housekeeping: Housekeeping;
  readonly #starts: Starts;
  readonly #hotTier: HotTier;
  readonly #requests: Requests;

  constructor(context: HostContext, options: { readonly maxConcurrentBranches: number }) {
    this.#context = context;
    this.#branches = new Branches(context, options.maxConcurrentBranches);
    this.#starts = new Starts(context);
    this.#hotTier = new HotTier(context);
    this.#requests = new Requests(context);
    this.#housekeeping = new Housekeeping(context, this.#branches, (sandbox) => this.#remove(sandbox));
  }

  /** From now on sandboxes end when their time is over, and what has expired is removed. */
  start(): void {
    this.#housekeeping.start();
    this.#hotTier.start();
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is asynchronous for remote hosts
  async listSnapshots(): Promise<Snapshot[]> {
    return this.#context.store.list().map(wireSnapshot);
  }

  getSnapshot(tag: string): Promise<Snapshot> {
    return catalogued({ operation: 'find the snapshot' }, async () =>
      Promise.resolve(wireSnapshot(this.#context.store.get(tag))),
    );
  }

  snapshotInfo(tag: string): Promise<SnapshotInfo> {
    return catalogued({ operation: 'inspect the snapshot' }, async () =>
      wireSnapshotInfo(await this.#context.store.info(tag)),
    );
  }

  createSnapshot(request: CreateSnapshotRequest, call: CallContext = ownCall()): Promise<Snapshot> {
    const { key: requestKey } = call;
    const work = async (closing: AbortSignal): Promise<SnapshotView> => {
      const made = this.#requests.snapshotOf(requestKey);
      if (made !== undefined) return this.#context.store.ready(made.tag, closing);
      return createSnapshot(this.#context, request, { requestKey, signal: anyOf(closing, givenUp(call)) });
    };
    return this.#requests.once(requestKey, () =>
      catalogued({ operation: 'boot the guest' }, async () => wireSnapshot(await this.#starts.run(work))),
    );
  }

  deleteSnapshot(tag: string, { cascade, force }: DeleteSnapshotOptions): Promise<void> {
    return catalogued({ operation: 'delete the snapshot' }, () =>
      this.#context.store.delete(tag, { cascade, force, sandboxesOf: this.#context.sandboxes.namesOf }),
    );
  }

  compactSnapshot(
    tag: string,
    { to }: CompactRequest,
    { key: requestKey }: CallContext = ownCall(),
  ): Promise<Snapshot> {
    const { store } = this.#context;
    return this.#requests.once(requestKey, () =>
      catalogued({ operation: 'compact the snapshot' }, async () => {
        const made = this.#requests.snapshotOf(requestKey);
        return wireSnapshot(await (made ? store.ready(made.tag) : store.compact(tag, { to, requestKey })));
      }),
    );
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async listSandboxes(): Promise<WireSandbox[]> {
    return this.#context.sandboxes.list().map((sandbox) => sandbox.view());
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async getSandbox(id: string): Promise<WireSandbox> {
    return this.#context.sandboxes.get(id).view();
  }

  async spawn(request: SpawnRequest, call: CallContext = ownCall()): Promise<WireSandbox[]> {
    const { key: requestKey } = call;
    const options: ChildOptions = {
      lifetime: () => termsOf(request),
      ...compact({
        memoryLimitMiB: request.memory_limit_mib,
        name: request.name,
        metadata: request.metadata,
      }),
      requestKey,
    };
    const sandboxes = await this.#requests.once(requestKey, async () => {
      const made = this.#requests.sandboxesOf(requestKey);
      const missing = request.n - made.length;
      if (missing === 0) return made;
      termsOf(request);
      return [...made, ...(await this.#starts.all(request.snapshot_tag, missing, options, givenUp(call)))];
    });
    return sandboxes.map((sandbox) => sandbox.view());
  }

  async removeSandbox(id: string): Promise<void> {
    await this.#remove(this.#context.sandboxes.get(id));
  }

  exec(id: string, request: ExecRequest, { signal }: CallContext = ownCall()): Promise<ExecResult> {
    return this.#inGuest(id, 'run a program', async ({ agent }) => {
      const { stdout, stderr, exitCode, truncated } = await agent.exec(
        {
          args: request.args,
          timeoutMs: request.timeout_secs * 1000,
          ...compact({ env: request.env, cwd: request.cwd, stdin: request.stdin }),
        },
        signal,
      );
      return { stdout, stderr, exit_code: exitCode, truncated };
    });
  }

  evaluate(id: string, request: EvalRequest, { signal }: CallContext = ownCall()): Promise<EvalResult> {
    return this.#inGuest(id, 'evaluate an expression', async ({ agent }) => {
      const { exitCode, ...evaluated } = await agent.eval(request.code, {
        timeoutMs: request.timeout_secs * 1000,
        signal,
      });
      return { ...evaluated, exit_code: exitCode };
    });
  }

  ping(id: string, { signal }: CallContext = ownCall()): Promise<PingResult> {
    return this.#inGuest(id, 'ping', async ({ agent }) => ({
      ...(await agent.ping({ signal })),
      pong: true,
    }));
  }

  async setTimeout(id: string, request: TimeoutRequest): Promise<WireSandbox> {
    const sandbox = this.#context.sandboxes.get(id);
    sandbox.requireNotEnding();
    await sandbox.update({ lifetime: changedTerms(sandbox.record.lifetime, request) });
    return sandbox.view();
  }

  async branch(id: string, request: BranchRequest, { key }: CallContext = ownCall()): Promise<BranchOutcome> {
    return this.#requests.once(key, async () => ({
      snapshot: await this.#branch(id, request, request.wait, key),
      accepted: request.wait === false,
    }));
  }

  async fork(id: string, request: ForkRequest, { key }: CallContext = ownCall()): Promise<ForkResult> {
    return this.#requests.once(key, () => this.#fork(id, request, key));
  }

  async #fork(id: string, request: ForkRequest, requestKey: CallContext['key']): Promise<ForkResult> {
    if (this.#requests.snapshotOf(requestKey) === undefined) termsOf(request);
    const { tag, pause_ms: pauseMs } = await this.#branch(id, request, true, requestKey);
    const made = this.#requests.sandboxesOf(requestKey).map((sandbox) => ({ sandbox, error: undefined }));
    const missing = request.count - made.length;
    const options: ChildOptions = { lifetime: () => termsOf(request), requestKey };
    const outcomes = [...made, ...(missing === 0 ? [] : await this.#starts.each(tag, missing, options))];
    return {
      snapshot: wireSnapshot(this.#context.store.get(tag)),
      pause_ms: pauseMs ?? 0,
      children: outcomes.map((outcome) => {
        if (outcome.sandbox !== undefined) return { sandbox: outcome.sandbox.view() };
        const { error } = outcome;
        return isBoughError(error)
          ? { error: error.message, code: error.code }
          : { error: 'Unexpected failure; see the log of the daemon', code: 'internal' };
      }),
    };
  }

  collect(request: GcRequest): Promise<GcResult> {
    return this.#housekeeping.collect(request);
  }

  gauges(): HostGauges {
    const sandboxes: Partial<Record<SandboxState, number>> = {};
    for (const { state } of this.#context.sandboxes.list()) sandboxes[state] = (sandboxes[state] ?? 0) + 1;
    const snapshots: Partial<Record<SnapshotStatus, number>> = {};
    for (const { status } of this.#context.store.list()) snapshots[status] = (snapshots[status] ?? 0) + 1;
    return { sandboxes, snapshots, branchesInFlight: this.#branches.count, ...this.#hotTier.bytes };
  }

  async close(): Promise<void> {
    await Promise.all([this.#starts.stop(), this.#housekeeping.stop(), this.#hotTier.stop()]);
    await withDeadline(this.#branches.settled(), BRANCHES_GRACE_MS, 'Branches under way').catch(
      (err: unknown) => this.#context.log('warn', 'branches.left', { err }),
    );
    await Promise.all(this.#context.sandboxes.list().map((sandbox) => sandbox.release()));
    // Those that were left fail with their VM let go, and clean up after themselves.
    await this.#branches.settled();
    await this.#context.store.close();
  }

  async #inGuest<T>(id: string, operation: string, work: (sandbox: Sandbox) => Promise<T>): Promise<T> {
    const sandbox = this.#context.sandboxes.get(id);
    sandbox.requireUsable();
    return sandbox.lifetime.during(() => catalogued({ operation, sandboxId: id }, () => work(sandbox)));
  }

  async #branch(
    id: string,
    request: Pick<BranchRequest, 'mode' | 'tag' | 'parent_tag' | keyof RetentionRequest>,
    wait: BranchWait,
    requestKey: CallContext['key'],
  ): Promise<Snapshot> {
    const made = this.#requests.snapshotOf(requestKey);
    if (made !== undefined) return wireSnapshot(await this.#branches.made(made.tag, wait));
    const sandbox = this.#context.sandboxes.get(id);
    const { mode, tag, parent_tag: parentTag } = request;
    if (parentTag !== undefined && parentTag !== sandbox.record.snapshotTag) {
      const problem = `must be the source's snapshot "${sandbox.record.snapshotTag}", not "${parentTag}"`;
      throw new BoughError('invalid_request', { field: 'parent_tag', problem });
    }
    sandbox.requireUsable();
    const order = { mode, tag, wait, stay: request, requestKey };
    const snapshot = wireSnapshot(await sandbox.lifetime.during(() => this.#branches.run(sandbox, order)));
    this.#housekeeping.afterBranch(snapshot);
    return snapshot;
  }

  async #remove(sandbox: Sandbox): Promise<void> {
    await sandbox.remove();
    this.#context.sandboxes.delete(sandbox.id);
  }
}

/** Fires when the caller is gone; never for one with a key, who may ask again, and others with it may be waiting. */
function givenUp({ key, signal }: CallContext): AbortSignal | undefined {
  return key === undefined ? signal : undefined;
}
