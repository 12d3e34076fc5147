/**
 * A host whose VMs are none, for a model of timelines: store, records, rollbacks, schedules and the collector are the daemon's own, a guest
 * is a number, and time passes when it is told to.
 *
 * A capture writes the number where a device state goes, and a VM that is restored has what it finds there. What else happens on the way
 * of either is up to the model: it is asked `meanwhile` at each step, and what it throws is what the step fails with.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compact, Deferred, namesIn, ResourceStack, unixSeconds } from '../../src/base/index.js';
import type { BranchSpec } from '../../src/sandbox/branch/capture.js';
import { generatedTag } from '../../src/sandbox/branch/limits.js';
import { sandboxesDir, sandboxPaths } from '../../src/sandbox/entity/paths.js';
import {
  newRecord,
  readRecord,
  writeRecord,
  type SandboxFields,
  type SandboxRecord,
} from '../../src/sandbox/entity/record.js';
import { retentionOf } from '../../src/sandbox/entity/retention.js';
import { Sandbox } from '../../src/sandbox/entity/sandbox.js';
import type { Vm } from '../../src/sandbox/entity/vm.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import type { HostContext } from '../../src/sandbox/host/context.js';
import { catalogued } from '../../src/sandbox/host/failures.js';
import { Requests } from '../../src/sandbox/host/requests.js';
import { Timelines } from '../../src/sandbox/host/timelines.js';
import { makeGround } from '../../src/sandbox/start/bring-up.js';
import type { restore, Restored, RestoredFields } from '../../src/sandbox/start/restore.js';
import { Starts } from '../../src/sandbox/start/starts.js';
import { Rollbacks } from '../../src/sandbox/timeline/rollback.js';
import { Housekeeping } from '../../src/sandbox/upkeep/housekeeping.js';
import type { Lease, LinkedSnapshot, SnapshotView, Store } from '../../src/store/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { capture, snapshot, writeDisk } from '../support/store-fixture.js';
import { contextOver } from './host-parts.js';
import { openIn, type StoreDirs } from './store-world.js';

export const BASE = 'base';
/** The base's is 0, so a guest's is larger. */
const PAGES = 60;

/** Where something may happen: before a capture, after it, when a VM is restored, when its guest is to answer. */
export type Step = 'capture' | 'captured' | 'restored' | 'answers';

/** Runs on when the daemon does not. */
class FakeProcess {
  readonly #exited = new Deferred<{ code: null; signal: 'SIGKILL' }>();
  number: number;
  isRunning = true;

  constructor(number: number) {
    this.number = number;
  }

  /** What a daemon has of it. */
  connect(): Vm {
    const nothing = (): Promise<void> => Promise.resolve();
    const qmp = Object.assign(new EventEmitter(), { drain: nothing });
    const vmm = {
      ...{ qmp, pid: 1, startTimeTicks: 1, release: nothing, logTail: () => Promise.resolve('') },
      exited: this.#exited.promise,
      kill: () => {
        this.end();
        return Promise.resolve();
      },
    };
    return { vmm, pager: { close: nothing }, agentAddress: { path: '/nowhere' } } as unknown as Vm;
  }

  end(): void {
    this.isRunning = false;
    this.#exited.resolve({ code: null, signal: 'SIGKILL' });
  }
}

/** What only a daemon that runs has. */
interface Daemon {
  readonly store: Store;
  readonly context: HostContext;
  readonly starts: Starts;
  readonly housekeeping: Housekeeping;
  readonly timelines: Timelines;
}

export class TimelineWorld {
  readonly clock = new FakeClock();
  readonly dirs: StoreDirs;
  /** Of VMs, by the names of their folders. */
  readonly #processes = new Map<string, FakeProcess>();
  #daemon!: Daemon;
  /** Set by the model. */
  meanwhile: (step: Step) => Promise<unknown> = () => Promise.resolve();
  /** Told of each snapshot that is complete. */
  onCapture: (view: SnapshotView, number: number) => unknown = () => undefined;

  private constructor(dirs: StoreDirs) {
    this.dirs = dirs;
  }

  static async open(): Promise<TimelineWorld> {
    const [stateDir, hotDir] = await Promise.all([
      mkdtemp('/dev/shm/bough-timelines-'),
      mkdtemp('/dev/shm/bough-timelines-'),
    ]);
    const world = new TimelineWorld({ stateDir, hotDir });
    world.#daemon = world.#run(await openIn(world.dirs));
    const image = join(stateDir, 'image');
    await writeDisk(image, 'image');
    const on = { layers: [], disks: [{ id: 'image', path: image, format: 'raw' as const }] };
    await snapshot(world.store, { tag: BASE, vmstate: '0', on });
    await rm(image);
    return world;
  }

  async close(): Promise<void> {
    await this.#stop();
    for (const folder of [this.dirs.stateDir, this.dirs.hotDir]) await rm(folder, { recursive: true });
  }

  get store(): Store {
    return this.#daemon.store;
  }

  get timelines(): Timelines {
    return this.#daemon.timelines;
  }

  get housekeeping(): Housekeeping {
    return this.#daemon.housekeeping;
  }

  get sandboxes(): HostContext['sandboxes'] {
    return this.#daemon.context.sandboxes;
  }

  /** What guests of VMs that run have, whoever's they are. */
  get running(): number[] {
    return [...this.#processes.values()].filter(({ isRunning }) => isRunning).map(({ number }) => number);
  }

  processOf({ paths }: Sandbox): FakeProcess {
    const found = this.#processes.get(paths.id);
    assert(found, `${paths.id} has no process`);
    return found;
  }

  /** Names of the folders that sandboxes have in either tier. */
  async folders(): Promise<string[][]> {
    return Promise.all(
      [this.dirs.stateDir, this.dirs.hotDir].map(async (root) => (await namesIn(sandboxesDir(root))).sort()),
    );
  }

  /** The next daemon finds what this one leaves; time may have passed. */
  async restart(): Promise<void> {
    await this.#stop();
    this.#daemon = this.#run(await openIn(this.dirs));
    const { context } = this.#daemon;
    for (const name of await namesIn(sandboxesDir(this.dirs.stateDir))) {
      const paths = sandboxPaths(this.dirs, name);
      const record = await readRecord(paths.record);
      const process = this.#processes.get(name);
      const { failure = 'its process is gone' } = record;
      const sandbox = process?.isRunning
        ? Sandbox.running(paths, record, process.connect(), { seccomp: true, emit: context.emit })
        : Sandbox.failed(paths, { ...record, failure });
      context.sandboxes.add(sandbox);
    }
  }

  async spawn(tag: string, fields: Partial<SandboxFields>): Promise<Sandbox> {
    const { starts, context } = this.#daemon;
    return starts.one(tag, new AbortController().signal, async (lease) => {
      await using undo = new ResourceStack();
      const { paths, record, vm } = await this.#restore(
        context,
        lease,
        {
          network: undefined,
          record: (id, restored) => ({
            ...{ ...restored, ...fields, id, createdAtUnix: unixSeconds(), branchCount: 0 },
          }),
        },
        undo,
      );
      await writeRecord(paths.record, record);
      undo.move();
      const sandbox = Sandbox.running(paths, record, vm, { seccomp: true, emit: context.emit });
      context.sandboxes.add(sandbox);
      return sandbox;
    });
  }

  branch(sandbox: Sandbox, spec: Pick<BranchSpec, 'tag' | 'retention'>): Promise<SnapshotView> {
    sandbox.require('ask-for-branch');
    return this.#branch(sandbox, { ...spec, mode: 'live', wait: 'ready' });
  }

  /** Tags of the snapshots that are on disk, once no more are on their way there. */
  async durable(): Promise<Set<string>> {
    for (const { tag, durable } of this.store.list())
      if (!durable) await this.store.durable(tag).catch(() => undefined);
    return new Set(this.store.list().flatMap(({ tag, durable }) => (durable ? tag : [])));
  }

  /** What a child of it has. */
  async holds(tag: string): Promise<number> {
    using lease = await this.store.acquire(tag, 'a look');
    const folders = [this.dirs.hotDir, this.dirs.stateDir].map((root) => join(root, 'look'));
    const { vmstatePath } = await lease.linkInto(folders[0] ?? '', folders[1] ?? '');
    const number = Number(await readFile(vmstatePath, 'utf8'));
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
    return number;
  }

  #run(store: Store): Daemon {
    const context = contextOver(this.dirs, store);
    const branches = { run: (of: Sandbox, spec: BranchSpec) => this.#branch(of, spec) };
    const starts = new Starts(context);
    const housekeeping = new Housekeeping(context, branches, this.clock);
    const rollbacks = new Rollbacks(context, starts, branches, {
      restore: (...args) => this.#restore(...args),
      answers: () => this.meanwhile('answers'),
    });
    const timelines = new Timelines(
      context,
      rollbacks,
      housekeeping.checkpoints,
      new Requests({ store, sandboxes: context.sandboxes }),
    );
    return { store, context, starts, housekeeping, timelines };
  }

  async #stop(): Promise<void> {
    const { starts, housekeeping, context, store } = this.#daemon;
    await starts.stop();
    await housekeeping.stop();
    for (const sandbox of context.sandboxes.list()) await sandbox.release();
    await store.close();
  }

  readonly #restore: typeof restore = async (context, lease, plan, undo): Promise<Restored> => {
    const paths = await makeGround(context, undo);
    const { layers, disks, vmstatePath } = await lease.linkInto(paths.hotDir, paths.stateDir);
    const process = new FakeProcess(Number(await readFile(vmstatePath, 'utf8')));
    this.#processes.set(paths.id, process);
    const vm = process.connect();
    undo.defer(() => vm.vmm.kill());
    await this.meanwhile('restored');
    const record = newRecord(plan.record(paths.id, restoredOf(lease, { layers, disks, paths })));
    return { paths, vm, record: { ...record, process: { pid: 1, startTimeTicks: 1 } } };
  };

  /** As a branch of the host, without a disk of its own. */
  async #branch(sandbox: Sandbox, spec: BranchSpec): Promise<SnapshotView> {
    return catalogued({ operation: 'branch the sandbox', sandboxId: sandbox.id }, async () => {
      const release = sandbox.claimForBranch();
      try {
        await this.meanwhile('capture');
        const { record } = sandbox;
        const { number, isRunning } = this.processOf(sandbox);
        assert(isRunning, 'what has ended is captured');
        const tag = spec.tag ?? generatedTag(sandbox);
        const retention = retentionOf(spec.retention, record.branchCount + 1, this.clock);
        const { draft, fields } = await capture(this.store, {
          ...{ tag, vmstate: `${number}`, pages: { [number % PAGES]: 1 } },
          ...{ on: { layers: record.layers, disks: record.disks }, branchedFrom: sandbox.id },
          ...compact({ parentTag: record.snapshotTag, retention }),
        });
        const view = await draft.publish(fields);
        this.onCapture(view, number);
        await sandbox.update({ branchCount: record.branchCount + 1 });
        await this.meanwhile('captured');
        return view;
      } finally {
        release();
      }
    });
  }

  rollback(id: string, tag: string | undefined, keep: boolean, keepTag?: string) {
    return this.timelines.rollback(id, { tag, keep, keepTag }, ownCall());
  }
}

function restoredOf(
  { manifest }: Lease,
  { layers: linked, disks, paths }: Pick<LinkedSnapshot, 'layers' | 'disks'> & Pick<Restored, 'paths'>,
): RestoredFields {
  const { tag: snapshotTag, machine, image, agent } = manifest;
  const layers: SandboxRecord['layers'] = linked.map(({ runs, ...layer }) => ({
    ...layer,
    runs: runs.map(([at, length]) => [at, length]),
  }));
  const overlay = { id: paths.id, path: join(paths.stateDir, 'overlay'), format: 'qcow2' as const };
  return {
    ...{ snapshotTag, machine, image, agent, layers, disks: [...disks], overlay },
    ...{ overlayNode: 'overlay', switchCount: 0 },
  };
}
