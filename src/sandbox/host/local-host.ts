/**
 * This machine as a host of sandboxes: the use cases behind the HTTP API, over one store and one registry.
 *
 * Everything a caller can do is one method here, and each turns what its parts throw into the error catalogue once. A method called
 * without a context is called by the daemon itself.
 */
import type {
  CollectedExecRequest,
  EvalResult,
  ExecEvent,
  ExecRequest,
  ExecResult,
  Pong,
  PortConnection,
} from '../../agent/index.js';
import {
  BoughError,
  isBoughError,
  type Network,
  type NetworkCheck,
  type NetworkPolicy,
  type NetworkVerdict,
  type SecretRequest,
} from '../../contract/index.js';
import { anyOf, compact, ResourceStack, withDeadline } from '../../base/index.js';
import type { SnapshotInfo, SnapshotView } from '../../store/index.js';
import type { BranchSpec } from '../branch/capture.js';
import { Branches } from '../branch/limits.js';
import { ownCall, type CallContext } from './call.js';
import type { HostContext } from './context.js';
import type { SnapshotSpec } from '../start/boot-spec.js';
import { createSnapshot } from '../start/create-snapshot.js';
import { catalogued } from './failures.js';
import { GuestFiles, type FilesHost } from './guest-files.js';
import { GuestProcesses, type ProcessesHost } from './guest-processes.js';
import { HotTier } from '../upkeep/hot-tier.js';
import type { Dependents, EvalSpec, Forked, ForkSpec, Host, HostGauges, PortId, SpawnSpec } from './host.js';
import { Housekeeping } from '../upkeep/housekeeping.js';
import { changedLifetime, lifetimeOf, type LifetimeChange } from '../entity/lifetime.js';
import { pauseGuest, resumeGuest } from '../entity/pause.js';
import { inGuest, streamFromGuest, withEnv } from './in-guest.js';
import { linesOf } from './log-lines.js';
import { setNetwork, viewNetwork } from './network.js';
import { removeSecret, setSecret } from './secrets.js';
import { networkLogPath, NO_NETWORK } from '../entity/networks.js';
import { Requests } from './requests.js';
import { Timelines, type TimelinesHost } from './timelines.js';
import { Rollbacks } from '../timeline/rollback.js';
import { SnapshotHub, type HubHost } from './snapshot-hub.js';
import type { ChildOptions } from '../start/spawn.js';
import type { Sandbox } from '../entity/sandbox.js';
import { Starts } from '../start/starts.js';
import type { SecretView } from '../entity/secrets.js';
import { statsOf, type SandboxStats } from '../entity/stats.js';
import type { SandboxView } from '../entity/view.js';
import type { CollectionReport } from '../upkeep/collector.js';

/** A branch that takes longer is left to its VMM, which runs on, when the host closes. */
const BRANCHES_GRACE_MS = 10_000;

export class LocalHost implements Host {
  readonly processes: ProcessesHost;
  readonly files: FilesHost;
  readonly timelines: TimelinesHost;
  readonly hub: HubHost;
  readonly #context: HostContext;
  readonly #branches: Branches;
  readonly #housekeeping: Housekeeping;
  readonly #starts: Starts;
  readonly #hotTier: HotTier;
  readonly #requests: Requests;

  constructor(
    context: HostContext,
    options: { readonly maxConcurrentBranches: number; readonly hubKeysDir: string },
  ) {
    this.#context = context;
    this.processes = new GuestProcesses(context);
    this.files = new GuestFiles(context);
    this.#branches = new Branches(context, options.maxConcurrentBranches);
    this.#starts = new Starts(context);
    this.hub = new SnapshotHub(context, this.#starts, options.hubKeysDir);
    this.#hotTier = new HotTier(context);
    this.#requests = new Requests(context);
    this.#housekeeping = new Housekeeping(context, this.#branches);
    const rollbacks = new Rollbacks(context, this.#starts, this.#branches);
    this.timelines = new Timelines(context, rollbacks, this.#housekeeping.checkpoints, this.#requests);
  }

  /** From now on sandboxes end when their time is over, and what has expired is removed. */
  start(): void {
    this.#housekeeping.start();
    this.#hotTier.start();
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is asynchronous for remote hosts
  async listSnapshots(): Promise<SnapshotView[]> {
    return this.#context.store.list();
  }

  getSnapshot(tag: string): Promise<SnapshotView> {
    return catalogued({ operation: 'find the snapshot' }, async () =>
      Promise.resolve(this.#context.store.get(tag)),
    );
  }

  snapshotInfo(tag: string): Promise<SnapshotInfo> {
    return catalogued({ operation: 'inspect the snapshot' }, () => this.#context.store.info(tag));
  }

  createSnapshot(spec: SnapshotSpec, call: CallContext = ownCall()): Promise<SnapshotView> {
    const { key: requestKey } = call;
    const work = async (closing: AbortSignal): Promise<SnapshotView> => {
      const made = this.#requests.snapshotOf(requestKey);
      if (made !== undefined) return this.#context.store.ready(made.tag, closing);
      return createSnapshot(this.#context, spec, { requestKey, signal: anyOf(closing, givenUp(call)) });
    };
    return this.#requests.once(requestKey, () =>
      catalogued({ operation: 'boot the guest' }, () => this.#starts.run(work)),
    );
  }

  deleteSnapshot(tag: string, { cascade, force }: Dependents): Promise<void> {
    return catalogued({ operation: 'delete the snapshot' }, () =>
      this.#context.store.remove(tag, { cascade, force, sandboxesOf: this.#context.sandboxes.namesOf }),
    );
  }

  compactSnapshot(
    tag: string,
    to: string,
    { key: requestKey }: CallContext = ownCall(),
  ): Promise<SnapshotView> {
    const { store } = this.#context;
    return this.#requests.once(requestKey, () =>
      catalogued({ operation: 'compact the snapshot' }, async () => {
        const made = this.#requests.snapshotOf(requestKey);
        return made ? store.ready(made.tag) : store.compact(tag, { to, requestKey });
      }),
    );
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async listSandboxes(): Promise<SandboxView[]> {
    return this.#context.sandboxes.list().map((sandbox) => sandbox.view());
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async getSandbox(id: string): Promise<SandboxView> {
    return this.#context.sandboxes.get(id).info();
  }

  async spawn(spec: SpawnSpec, call: CallContext = ownCall()): Promise<SandboxView[]> {
    const { key: requestKey } = call;
    const { snapshotTag, count, lifetime = {}, memoryLimitMiB, name, metadata, env, network } = spec;
    this.#context.networks.checked(network);
    const options: ChildOptions = {
      lifetime: () => lifetimeOf(lifetime),
      ...compact({ memoryLimitMiB, name, metadata, env, network }),
      requestKey,
    };
    const sandboxes = await this.#requests.once(requestKey, async () => {
      const made = this.#requests.sandboxesOf(requestKey);
      const missing = count - made.length;
      if (missing === 0) return made;
      lifetimeOf(lifetime);
      await using undo = new ResourceStack();
      undo.defer(this.#context.sandboxes.claimName(name));
      return [...made, ...(await this.#starts.all(snapshotTag, missing, options, givenUp(call)))];
    });
    return sandboxes.map((sandbox) => sandbox.view());
  }

  async removeSandbox(id: string): Promise<void> {
    const { sandboxes, emit } = this.#context;
    const sandbox = sandboxes.get(id);
    const attempt = { operation: 'end the sandbox', sandboxId: sandbox.id };
    if (await catalogued(attempt, () => sandboxes.remove(sandbox)))
      emit('sandbox.removed', { id: sandbox.id });
  }

  async pause(id: string): Promise<SandboxView> {
    return this.#changed(id, 'pause the guest', pauseGuest);
  }

  async resume(id: string): Promise<SandboxView> {
    return this.#changed(id, 'resume the guest', resumeGuest);
  }

  async #changed(
    id: string,
    operation: string,
    change: (sandbox: Sandbox) => Promise<void>,
  ): Promise<SandboxView> {
    const sandbox = this.#context.sandboxes.get(id);
    await catalogued({ operation, sandboxId: sandbox.id }, () => change(sandbox));
    return sandbox.view();
  }

  async stats(id: string): Promise<SandboxStats> {
    const sandbox = this.#context.sandboxes.get(id);
    try {
      return await statsOf(sandbox);
    } catch (error) {
      // Its process may have ended since.
      if (!isBoughError(error)) await sandbox.endNoted();
      sandbox.require('measure');
      throw error;
    }
  }

  exec(id: string, program: CollectedExecRequest, { signal }: CallContext = ownCall()): Promise<ExecResult> {
    return inGuest(this.#context, { id, operation: 'run a program' }, (sandbox) =>
      sandbox.agent.exec(withEnv(program, sandbox), signal),
    );
  }

  execStream(
    id: string,
    program: ExecRequest,
    { signal }: CallContext = ownCall(),
  ): AsyncGenerator<ExecEvent, void, undefined> {
    return streamFromGuest(this.#context, { id, operation: 'run a program' }, (sandbox) =>
      sandbox.agent.execStream(withEnv(program, sandbox), signal),
    );
  }

  evaluate(id: string, spec: EvalSpec, { signal }: CallContext = ownCall()): Promise<EvalResult> {
    const { code, timeoutMs } = spec;
    return inGuest(this.#context, { id, operation: 'evaluate an expression' }, ({ agent }) =>
      agent.eval(code, { timeoutMs, signal }),
    );
  }

  ping(id: string, { signal }: CallContext = ownCall()): Promise<Pong> {
    return inGuest(this.#context, { id, operation: 'ping' }, ({ agent }) => agent.ping({ signal }));
  }

  withPort<T>(
    { id, port }: PortId,
    use: (connection: PortConnection) => Promise<T>,
    { signal }: CallContext = ownCall(),
  ): Promise<T> {
    return inGuest(this.#context, { id, operation: 'connect to a port' }, async ({ agent }) => {
      const connection = agent.dial(port, { signal });
      try {
        // That there is none is told before the stream breaks, and what is made of that.
        const [, used] = await Promise.all([connection.connected, use(connection)]);
        return used;
      } finally {
        connection.destroy();
      }
    });
  }

  async setTimeout(id: string, change: LifetimeChange): Promise<SandboxView> {
    const sandbox = this.#context.sandboxes.get(id);
    sandbox.require('change-lifetime');
    await sandbox.update({ lifetime: changedLifetime(sandbox.record.lifetime, change) });
    return sandbox.view();
  }

  network(id: string): Promise<Network> {
    return viewNetwork(this.#context, this.#context.sandboxes.get(id));
  }

  setNetwork(id: string, policy: NetworkPolicy): Promise<Network> {
    return setNetwork(this.#context, this.#context.sandboxes.get(id), policy);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async checkNetwork(id: string, what: NetworkCheck): Promise<NetworkVerdict> {
    const { sandboxes, networks } = this.#context;
    return networks.check(sandboxes.get(id).record.network ?? NO_NETWORK, what);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async networkLog(
    id: string,
    { follow }: { readonly follow: boolean },
    { signal }: CallContext = ownCall(),
  ): Promise<AsyncIterable<Uint8Array>> {
    const { paths } = this.#context.sandboxes.get(id);
    return linesOf(networkLogPath(paths), { follow, signal });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as listSnapshots
  async listSecrets(): Promise<SecretView[]> {
    return this.#context.secrets.list();
  }

  setSecret(name: string, secret: SecretRequest): Promise<SecretView> {
    return setSecret(this.#context, name, secret);
  }

  removeSecret(name: string): Promise<void> {
    return removeSecret(this.#context, name);
  }

  async branch(id: string, spec: BranchSpec, call: CallContext = ownCall()): Promise<SnapshotView> {
    return this.#requests.once(call.key, () => this.#branch(id, spec, call));
  }

  async fork(id: string, spec: ForkSpec, call: CallContext = ownCall()): Promise<Forked> {
    return this.#requests.once(call.key, () => this.#fork(id, spec, call));
  }

  async #fork(id: string, spec: ForkSpec, call: CallContext): Promise<Forked> {
    const { branch, count, lifetime = {}, network } = spec;
    // What no child can have is refused before the source is paused.
    this.#context.networks.checked(network);
    const { key: requestKey } = call;
    if (this.#requests.snapshotOf(requestKey) === undefined) lifetimeOf(lifetime);
    const made = this.#requests.sandboxesOf(requestKey).map((sandbox) => ({ sandbox, error: undefined }));
    const missing = count - made.length;
    // Asked now: the source may go while it is branched, and its children start all the same.
    const source = missing === 0 ? undefined : this.#context.sandboxes.get(id).record;
    const snapshot = await this.#branch(id, { ...branch, wait: 'ready' }, call);
    const options: ChildOptions = {
      lifetime: () => lifetimeOf(lifetime),
      network,
      requestKey,
      ...compact({ env: source?.env, memoryLimitMiB: source?.memoryLimitMiB }),
    };
    const started = missing === 0 ? [] : await this.#starts.each(snapshot.tag, missing, options);
    const children = [...made, ...started].map(({ sandbox, error }) =>
      sandbox === undefined ? { error } : { sandbox: sandbox.view() },
    );
    return { snapshot, children };
  }

  collect(how: { readonly dryRun: boolean }): Promise<CollectionReport> {
    return this.#housekeeping.collect(how);
  }

  gauges(): HostGauges {
    const sandboxes: Counts<SandboxView['state']> = {};
    for (const { state } of this.#context.sandboxes.list()) sandboxes[state] = (sandboxes[state] ?? 0) + 1;
    const snapshots: Counts<SnapshotView['status']> = {};
    for (const { status } of this.#context.store.list()) snapshots[status] = (snapshots[status] ?? 0) + 1;
    const warmVmms = this.#context.warmVmms?.idleCount ?? 0;
    return { sandboxes, snapshots, branchesInFlight: this.#branches.count, warmVmms, ...this.#hotTier.bytes };
  }

  async close(): Promise<void> {
    await Promise.all([this.#starts.stop(), this.#housekeeping.stop(), this.#hotTier.stop()]);
    await this.#context.warmVmms?.stop();
    await withDeadline(this.#branches.settled(), BRANCHES_GRACE_MS, 'Branches under way').catch(
      (err: unknown) => this.#context.emit('branches.left', { err }),
    );
    await Promise.all(this.#context.sandboxes.list().map((sandbox) => sandbox.release()));
    // Those that were left fail with their VM let go, and clean up after themselves; or they had captured, and note that.
    await this.#branches.settled();
    await Promise.all(
      this.#context.sandboxes.list().map((sandbox) => sandbox.noteUse().catch(() => undefined)),
    );
    await this.#context.networks.close();
    await this.#context.cgroups.removeEmpty().catch(() => undefined);
    await this.#context.store.close();
  }

  async #branch(id: string, spec: BranchSpec, call: CallContext): Promise<SnapshotView> {
    const made = this.#requests.snapshotOf(call.key);
    if (made !== undefined) return this.#branches.made(made.tag, spec.wait);
    const sandbox = this.#context.sandboxes.get(id);
    const { snapshotTag } = sandbox.record;
    if (spec.parentTag !== undefined && spec.parentTag !== snapshotTag) {
      const problem = `must be the source's snapshot "${snapshotTag}", not "${spec.parentTag}"`;
      throw new BoughError('invalid_request', { field: 'parentTag', problem });
    }
    sandbox.require('ask-for-branch');
    const snapshot = await sandbox.lifetime.during(() => this.#branches.run(sandbox, spec, call));
    this.#housekeeping.afterBranch(snapshot);
    return snapshot;
  }
}

/** Fires when the caller is gone; never for one with a key, who may ask again, and others with it may be waiting. */
function givenUp({ key, signal }: CallContext): AbortSignal | undefined {
  return key === undefined ? signal : undefined;
}

type Counts<K extends string> = Partial<Record<K, number>>;
