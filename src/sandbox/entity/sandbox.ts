/**
 * A sandbox: an identity, its record on disk, and the VM behind it, while there is one.
 *
 *   own() ──▶ running ──its VMM ends──▶ failed ◀── dead(): it ended while no daemon ran
 *                ├──fallSilent()──▶ unresponsive ◀── unresponsive(): its VMM lives and cannot be used; one that can takes its place
 *                └─────── remove() ──────┴─▶ (gone)
 *
 * One piece of work at a time may rearrange what the sandbox consists of (a branch, a fold of its disk); whoever wants to
 * claims the sandbox first. Removing it ends the VM, so that such work fails, and waits until it has cleaned up.
 *
 * Invariant: a Sandbox that exists has a record on disk, and a VMM that ran when it was made unless it was made `failed`. What
 * happens to the VMM later is noticed here and told by `state`; nothing here ever stops a VM but `remove()`.
 */
import { readFile, rm } from 'node:fs/promises';
import { AgentClient } from '../../agent/index.js';
import { compact, Deferred, failpoint, withDeadline } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { DiskFold } from '../disk/fold.js';
import type { DiskRef } from '../../store/index.js';
import { Vmm, type VmmExit } from '../../vmm/index.js';
import { Lifetime } from './lifetime.js';
import { removeSandboxFolders, type SandboxPaths } from './paths.js';
import { writeRecord, type SandboxRecord } from './record.js';
import type { SandboxState, SandboxView } from './view.js';
import type { Vm } from './vm.js';
import { whyEnded } from './why-ended.js';

/** What a removed sandbox is called while its process is still ending. */
export const BEING_REMOVED = 'being removed';
/** What a sandbox is called while its last snapshot is being taken. */
const BEING_ENDED = 'at its end';
const STALLED =
  'It stands still: the disk it writes to has no room on the host. It goes on when there is some';
const END_NOTED_DEADLINE_MS = 1_000;

/** An empty overlay the disk can be switched to; see disk/spares.ts. */
export interface SpareOverlay {
  readonly disk: DiskRef;
  readonly node: string;
}

export class Sandbox {
  readonly paths: SandboxPaths;
  readonly lifetime: Lifetime;
  /** In the block graph already, to be used in this order. */
  readonly spareOverlays: SpareOverlay[] = [];
  #vm: Vm | undefined;
  #agent: AgentClient | undefined;
  #isStalled = false;
  /** Of QMP's SHUTDOWN event. */
  #shutdownReason: unknown;
  /** Why it is unresponsive. */
  #silence: string | undefined;
  readonly #seccomp: boolean;
  #record: SandboxRecord;
  #branch: Promise<undefined> | undefined;
  #fold: DiskFold | undefined;
  #removing: Promise<void> | undefined;
  #isBeingRemoved = false;
  #written: Promise<void> = Promise.resolve();
  #isReleased = false;
  #ending: Promise<void> = Promise.resolve();

  private constructor(paths: SandboxPaths, record: SandboxRecord, vm: Vm | undefined, seccomp: boolean) {
    this.paths = paths;
    this.#record = record;
    this.#vm = vm;
    this.#seccomp = seccomp;
    const lastUsedAtUnix = record.lastUsedAtUnix ?? record.createdAtUnix;
    this.lifetime = new Lifetime(() => this.#record.lifetime, lastUsedAtUnix);
    if (vm !== undefined) {
      const { secret } = record.agent;
      this.#agent = new AgentClient({ host: '127.0.0.1', port: vm.agentHostPort, secret });
    }
  }

  /** Takes over a VM whose record is on disk, and watches it from now on. */
  static own(paths: SandboxPaths, record: SandboxRecord, vm: Vm, seccomp: boolean): Sandbox {
    const sandbox = new Sandbox(paths, record, vm, seccomp);
    vm.vmm.qmp.on('event', ({ event, data }) => {
      if (event === 'BLOCK_IO_ERROR' && data['action'] === 'stop') sandbox.noteStall();
      if (event === 'SHUTDOWN') sandbox.#shutdownReason = data['reason'];
    });
    sandbox.#ending = vm.vmm.exited.then((exit) => sandbox.#ended(exit));
    return sandbox;
  }

  /** A sandbox whose VM is gone for good: listed as failed, for the reason in its record, until it is removed. */
  static dead(paths: SandboxPaths, record: SandboxRecord & { readonly failure: string }): Sandbox {
    return new Sandbox(paths, record, undefined, false);
  }

  /** A sandbox whose VMM lives and cannot be used: nothing can be done with it but wait, or remove it. */
  static unresponsive(
    paths: SandboxPaths,
    record: SandboxRecord,
    { why, seccomp }: { readonly why: string; readonly seccomp: boolean },
  ): Sandbox {
    const sandbox = new Sandbox(paths, record, undefined, seccomp);
    sandbox.#silence = why;
    return sandbox;
  }

  get id(): string {
    return this.#record.id;
  }

  get record(): SandboxRecord {
    return this.#record;
  }

  /** Throws `sandbox_not_running` when there is none to talk to. */
  get vm(): Vm {
    return this.#vm ?? this.#refuse();
  }

  /** Throws `sandbox_not_running` when there is no VM to talk to. */
  get agent(): AgentClient {
    return this.#agent ?? this.#refuse();
  }

  get state(): SandboxState {
    if (this.#record.failure !== undefined) return 'failed';
    return this.#vm === undefined ? 'unresponsive' : 'running';
  }

  get isBeingRemoved(): boolean {
    return this.#isBeingRemoved;
  }

  /** Throws `sandbox_not_running` unless its VMM runs and nobody is removing it. */
  requireRunning(): void {
    if (this.state !== 'running' || this.isBeingRemoved) this.#refuse();
  }

  /** Throws `sandbox_not_running` unless its users may use it: it runs, and its end has not begun. */
  requireUsable(): void {
    this.requireRunning();
    this.requireNotEnding();
  }

  /** Throws `sandbox_not_running` once its end has begun. */
  requireNotEnding(): void {
    if (this.#record.endTag !== undefined) this.#refuse(BEING_ENDED);
    if (this.isBeingRemoved) this.#refuse();
  }

  #refuse(state: string = this.isBeingRemoved ? BEING_REMOVED : this.state): never {
    throw new BoughError('sandbox_not_running', { id: this.id, state });
  }

  get isBranching(): boolean {
    return this.#branch !== undefined;
  }

  /** Notes that its end has begun, and under which tag its last snapshot is taken; or that it runs on. */
  noteEnd(tag: string | undefined): Promise<void> {
    return this.update({ endTag: tag });
  }

  /** Writes down when it was last used, if that has changed. */
  async noteUse(): Promise<void> {
    const lastUsedAtUnix = this.lifetime.unnotedUse();
    if (lastUsedAtUnix !== undefined) await this.update({ lastUsedAtUnix });
  }

  /**
   * Takes the sandbox for a branch; the caller calls what is returned when nothing of the branch is left to do but notes
   * in the record. Idempotent. Throws `sandbox_not_running`, `branch_in_progress`.
   */
  claimForBranch(): () => void {
    this.requireRunning();
    if (this.#branch !== undefined) throw new BoughError('branch_in_progress', { id: this.id });
    const over = new Deferred<undefined>();
    this.#branch = over.promise;
    return () => {
      if (this.#branch === over.promise) this.#branch = undefined;
      over.resolve(undefined);
    };
  }

  /** The fold of its disk that is under way. */
  get fold(): DiskFold | undefined {
    return this.#fold;
  }

  /** Lets `start` fold the disk in the background, unless that is going on already or a branch is. */
  foldInBackground(start: () => DiskFold): void {
    if (this.state !== 'running' || this.isBeingRemoved) return;
    if (this.#branch !== undefined || this.#fold !== undefined) return;
    const fold = start();
    this.#fold = fold;
    void fold.over.then(() => (this.#fold = undefined));
  }

  /** Changes the record, in memory at once and then on disk. */
  async update(changes: Partial<SandboxRecord>): Promise<void> {
    this.#record = { ...this.#record, ...changes };
    const write = async (): Promise<void> => {
      if (!this.#isBeingRemoved) await writeRecord(this.paths.record, this.#record);
    };
    // One after the other: the last one to be written has all changes.
    const written = this.#written.then(write);
    this.#written = written.catch(() => undefined);
    await written;
  }

  /** Waits until `state` tells the end of the VM, of which a lost connection has just told; not for long, it may run on. */
  async endNoted(): Promise<void> {
    await withDeadline(this.#ending, END_NOTED_DEADLINE_MS, 'The end of a VM').catch(() => undefined);
  }

  /**
   * Ends the VM and removes everything; resolves when the process is gone. Idempotent. The record goes first: from then on a daemon
   * that dies here leaves something nobody owns, which the next one ends and removes. What fails can be tried again.
   */
  remove(): Promise<void> {
    this.#isBeingRemoved = true;
    this.#removing ??= this.#remove().finally(() => (this.#removing = undefined));
    return this.#removing;
  }

  async #remove(): Promise<void> {
    await this.#written;
    await rm(this.paths.record, { force: true });
    await failpoint('remove.forgotten');
    await (this.#vm === undefined ? this.#reap() : this.#vm.vmm.kill());
    await failpoint('remove.killed');
    await this.#vm?.pager.close();
    await this.#branch;
    await this.#fold?.over;
    await removeSandboxFolders(this.paths);
  }

  /** Ends a VMM that never answered us. */
  async #reap(): Promise<void> {
    const { process, failure } = this.#record;
    if (process !== undefined && failure === undefined) await Vmm.reap({ name: this.id, ...process });
  }

  /** Lets go of the VM, which runs on for the next daemon. */
  async release(): Promise<void> {
    await this.noteUse().catch(() => undefined);
    this.#isReleased = true;
    await this.#vm?.pager.close();
    await this.#vm?.vmm.release();
    await this.#fold?.over;
  }

  /** QEMU has stopped the guest, because its disk could not be written for want of room. */
  noteStall(): void {
    this.#isStalled = true;
  }

  /** Lets a guest that was stopped for its disk go on; QEMU stops it again if nothing has changed. */
  async endStall(): Promise<void> {
    if (!this.#isStalled || this.state !== 'running' || this.#branch !== undefined) return;
    this.#isStalled = false;
    await this.vm.vmm.qmp.execute('cont');
  }

  /** Lets go of a VMM that has stopped to answer; it is tried again as one of an earlier daemon. */
  async fallSilent(why: string): Promise<void> {
    const vm = this.#vm;
    if (vm === undefined || this.state !== 'running' || this.#isBeingRemoved || this.#isReleased) return;
    this.#silence = why;
    this.#vm = undefined;
    this.#agent = undefined;
    await vm.pager.close();
    await vm.vmm.release();
  }

  /** Bytes of anonymous memory of the VMM: an upper bound of its guest's private pages. */
  async privateBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.vm.vmm.pid}/status`, 'utf8');
    const kib = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    return (kib('RssAnon') + kib('VmSwap')) * 1024;
  }

  view(): SandboxView {
    const record = this.#record;
    const lifetime = this.lifetime.view();
    return {
      id: record.id,
      snapshotTag: record.snapshotTag,
      agentAddr: `127.0.0.1:${record.process?.agentHostPort ?? 0}`,
      createdAtUnix: record.createdAtUnix,
      branchCount: record.branchCount,
      state: this.state,
      memoryMiB: record.machine.memoryMiB,
      vcpus: record.machine.vcpus,
      isolation: {
        accel: record.machine.accel,
        uid: process.getuid?.() ?? -1,
        seccomp: this.#seccomp,
        cgroup: false,
      },
      ...lifetime,
      ...compact({
        pid: this.state === 'failed' ? undefined : record.process?.pid,
        memoryLimitMiB: record.memoryLimitMiB,
        lastBranchMemoryPath: record.lastBranchMemoryPath,
        warning: this.#isStalled ? STALLED : lifetime.warning,
        stateReason: record.failure ?? this.#silence,
        name: record.name,
        metadata: record.metadata,
        parent: record.parent,
      }),
    };
  }

  async #ended(exit: VmmExit): Promise<void> {
    if (this.#isBeingRemoved || this.#isReleased || this.#vm === undefined) return;
    const { vmm } = this.#vm;
    await vmm.qmp.drain();
    const failure = whyEnded(exit, this.#shutdownReason, await vmm.logTail());
    await this.update({ failure }).catch(() => undefined);
  }
}
