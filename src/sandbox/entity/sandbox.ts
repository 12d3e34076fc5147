/**
 * A sandbox: an identity, its record on disk, and the VM behind it, while there is one. Its states and what it takes in each: lifecycle.ts.
 *
 * One piece of work at a time may rearrange what the sandbox consists of (a branch, a fold of its disk); whoever wants to
 * claims the sandbox first. Removing it ends the VM, so that such work fails, and waits until it has cleaned up. A rollback makes another
 * Sandbox of the same id, to which this one gives way.
 *
 * Invariant: a Sandbox that exists has a record on disk, and a VMM that ran when it was made unless it was made `failed`. What
 * happens to the VMM later is noticed here and told by `state`; nothing here ever stops a VM but `remove()`.
 */
import { rm } from 'node:fs/promises';
import type { AgentClient } from '../../agent/index.js';
import { compact, failpoint, withDeadline, WorkSet } from '../../base/index.js';
import type { Emit } from '../../contract/index.js';
import { processAnonymousBytes, Vmm } from '../../vmm/index.js';
import {
  after,
  BEING_REMOVED,
  lasting,
  nameOf,
  refusalOf,
  refused,
  type Lasting,
  type Lifecycle,
  type Refusal,
  type SandboxEvent,
  type SandboxRequest,
} from './lifecycle.js';
import { Claim } from './claim.js';
import { ClockKeeper } from './clock-keeper.js';
import type { DiskFold, SpareOverlay } from './disk-work.js';
import { LifetimeClock } from './lifetime.js';
import type { Networks } from './networks.js';
import { removeSandboxFolders, type SandboxPaths } from './paths.js';
import { writeRecord, type SandboxRecord } from './record.js';
import { STALLED, viewOf, type SandboxState, type SandboxView } from './view.js';
import { agentOf, type Vm } from './vm.js';
import { consoleOf, whyEnded } from './why-ended.js';

const END_NOTED_DEADLINE_MS = 1_000;
const CLOCK_DEADLINE_MS = 5_000;

export class Sandbox {
  readonly paths: SandboxPaths;
  readonly lifetime: LifetimeClock;
  /** In the block graph already, to be used in this order. */
  readonly spareOverlays: SpareOverlay[] = [];
  /** Of its line, one at most; branches go on meanwhile. */
  readonly merges = new WorkSet();
  readonly #clock: ClockKeeper;
  readonly #seccomp: boolean;
  readonly #emit: Emit;
  readonly #networks: Networks | undefined;
  #record: SandboxRecord;
  #lifecycle: Lifecycle;
  /** Kept when it has failed, let go of when it is unresponsive. */
  #vm: Vm | undefined;
  #agent: AgentClient | undefined;
  readonly #branch = new Claim();
  readonly #rollback = new Claim();
  readonly #removalBegun = new AbortController();
  /** Ends the use that a pause is. */
  #endPause: (() => void) | undefined;
  #fold: DiskFold | undefined;
  #removing: Promise<void> | undefined;
  /** The latest write of the record, and whether that went well. */
  #written: Promise<boolean> = Promise.resolve(true);
  /** Resolves when the end of the VMM has been noted. */
  #exitNoted: Promise<void> = Promise.resolve();

  private constructor(
    paths: SandboxPaths,
    record: SandboxRecord,
    made: {
      readonly state: Lasting;
      readonly vm?: Vm;
      readonly seccomp: boolean;
      readonly emit?: Emit;
      readonly networks?: Networks | undefined;
    },
  ) {
    const { vm } = made;
    this.paths = paths;
    this.#record = record;
    this.#lifecycle = made.state;
    this.#vm = vm;
    this.#seccomp = made.seccomp;
    this.#emit = made.emit ?? (() => undefined);
    this.#networks = made.networks;
    this.#clock = new ClockKeeper(
      () => this.agent.setClock({ timeoutMs: CLOCK_DEADLINE_MS }),
      (err) => {
        // One that has ended needs no clock.
        if (this.takes('use')) this.#emit('sandbox.clock-not-set', { id: record.id, err });
      },
    );
    const lastUsedAtUnix = record.lastUsedAtUnix ?? record.createdAtUnix;
    this.lifetime = new LifetimeClock(() => this.#record.lifetime, lastUsedAtUnix);
    if (vm !== undefined) this.#agent = agentOf(vm, record.agent.secret);
  }

  /** Takes over a VM whose record is on disk, and watches it from now on. */
  static running(
    paths: SandboxPaths,
    record: SandboxRecord,
    vm: Vm,
    how: { readonly seccomp: boolean; readonly emit: Emit; readonly networks?: Networks },
  ): Sandbox {
    const state = { state: 'running', isStalled: false } as const;
    const sandbox = new Sandbox(paths, record, { state, vm, ...how });
    sandbox.#watch(vm);
    return sandbox;
  }

  /** A sandbox whose VM is gone for good: listed as failed, for the reason in its record, until it is removed. */
  static failed(
    paths: SandboxPaths,
    record: SandboxRecord & { readonly failure: string },
    networks?: Networks,
  ): Sandbox {
    const state = { state: 'failed', why: record.failure } as const;
    return new Sandbox(paths, record, { state, seccomp: false, networks });
  }

  /** A sandbox whose VMM lives and cannot be used: nothing can be done with it but wait, or remove it. */
  static unresponsive(
    paths: SandboxPaths,
    record: SandboxRecord,
    { why, ...how }: { readonly why: string; readonly seccomp: boolean; readonly networks?: Networks },
  ): Sandbox {
    return new Sandbox(paths, record, { state: { state: 'unresponsive', why }, ...how });
  }

  #watch({ vmm }: Vm): void {
    vmm.qmp.on('event', (event) => {
      if (event.event === 'BLOCK_IO_ERROR' && event.data['action'] === 'stop') this.noteStall();
      this.#clock.note(event);
    });
    this.#exitNoted = vmm.exited.then(async (exit) => {
      await vmm.qmp.drain();
      const failure = whyEnded(exit, vmm.lastWords, await vmm.logTail());
      if (!this.#happened({ what: 'vmm-exited', why: failure })) return;
      this.#emit('sandbox.failed', { id: this.id, pid: vmm.pid, reason: failure });
      await this.update({ failure, ...consoleOf(vmm.lastWords) }).catch(() => undefined);
    });
  }

  get id(): string {
    return this.#record.id;
  }

  get record(): SandboxRecord {
    return this.#record;
  }

  /** Throws `sandbox_not_running` when there is none to talk to. */
  get vm(): Vm {
    return this.#vm ?? this.#refuse(nameOf(this.#lifecycle));
  }

  /** Throws `sandbox_not_running` when there is no VM to talk to. */
  get agent(): AgentClient {
    return this.#agent ?? this.#refuse(nameOf(this.#lifecycle));
  }

  /** As it is listed. */
  get state(): SandboxState {
    return lasting(this.#lifecycle).state;
  }

  /** Keeps the guest's clock with the host's. */
  get clock(): ClockKeeper {
    return this.#clock;
  }

  get isBeingRemoved(): boolean {
    return this.#lifecycle.state === 'removing';
  }

  /** Its removal was begun and failed, and is to be tried again. */
  get isHalfRemoved(): boolean {
    return this.isBeingRemoved && this.#removing === undefined;
  }

  get isBranching(): boolean {
    return this.#branch.isHeld;
  }

  get isRollingBack(): boolean {
    return this.#rollback.isHeld;
  }

  /** Another has taken its place. */
  get isReplaced(): boolean {
    return this.#lifecycle.state === 'replaced';
  }

  /** Fires when its removal begins. */
  get removalBegun(): AbortSignal {
    return this.#removalBegun.signal;
  }

  takes(request: SandboxRequest): boolean {
    return this.#refusalOf(request) === undefined;
  }

  /** Throws `sandbox_not_running`, or `branch_in_progress` and their like, unless it takes the request now. */
  require(request: SandboxRequest): void {
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined) this.#refuse(refusal);
  }

  #refusalOf(request: SandboxRequest): Refusal | undefined {
    const claims = {
      isBranching: this.isBranching,
      isFolding: this.#fold !== undefined,
      isRollingBack: this.isRollingBack,
      isEnding: this.#record.endTag !== undefined,
    };
    return refusalOf(this.#lifecycle, claims, request);
  }

  #refuse(state: Refusal): never {
    throw refused(this.id, state);
  }

  /** True if that changed anything. */
  #happened(event: SandboxEvent): boolean {
    const before = this.#lifecycle;
    this.#lifecycle = after(before, event);
    const isPaused = this.state === 'paused';
    if (isPaused) this.#endPause ??= this.lifetime.beginUse();
    else {
      this.#endPause?.();
      this.#endPause = undefined;
    }
    return this.#lifecycle !== before;
  }

  /** Notes that its end has begun, and under which tag its last snapshot is taken; or that it runs on. */
  noteEnd(tag: string | undefined): Promise<void> {
    return this.update({ endTag: tag });
  }

  /** Writes down when it was last used, if that has changed; on disk are all changes of before, too, when this resolves. */
  async noteUse(): Promise<void> {
    const lastUsedAtUnix = this.lifetime.unnotedUse();
    if (!(await this.#written) || lastUsedAtUnix !== undefined)
      await this.update(compact({ lastUsedAtUnix }));
  }

  /** For a branch, until what is returned is called: nothing is left to do then but notes in the record. Throws as `require`. */
  claimForBranch(): () => void {
    this.require('branch');
    return this.#branch.take();
  }

  /** Resolves when the branch is over that is under way. */
  get branchOver(): Promise<undefined> {
    return this.#branch.over;
  }

  /** For a rollback: nobody is let into its guest until what is returned is called. Throws as `require`. */
  claimForRollback(): () => void {
    this.require('rollback');
    return this.#rollback.take();
  }

  /** The fold of its disk that is under way. */
  get fold(): DiskFold | undefined {
    return this.#fold;
  }

  /** Lets `start` fold the disk in the background, unless that is going on already or a branch is. */
  foldInBackground(start: () => DiskFold): void {
    if (!this.takes('fold')) return;
    const fold = start();
    this.#fold = fold;
    void fold.over.then(() => (this.#fold = undefined));
  }

  /** Changes the record, in memory at once and then on disk: one write after the other, of which the last has all changes. */
  async update(changes: Partial<SandboxRecord>): Promise<void> {
    this.#record = { ...this.#record, ...changes };
    const write = async (): Promise<boolean> => {
      if (this.takes('record')) await writeRecord(this.paths.record, this.#record);
      return true;
    };
    const written = this.#written.then(write);
    this.#written = written.catch(() => false);
    await written;
  }

  /** Waits until `state` tells the end of the VM, of which a lost connection has just told; not for long, it may run on. */
  async endNoted(): Promise<void> {
    await withDeadline(this.#exitNoted, END_NOTED_DEADLINE_MS, 'The end of a VM').catch(() => undefined);
  }

  /**
   * Ends the VM and removes everything; resolves when the process is gone. Idempotent. The record goes first: from then on a daemon
   * that dies here leaves something nobody owns, which the next one ends and removes. What fails can be tried again.
   */
  remove(): Promise<void> {
    this.#happened({ what: 'removal-begun' });
    this.#removalBegun.abort(refused(this.id, BEING_REMOVED));
    this.#removing ??= this.#remove().finally(() => (this.#removing = undefined));
    return this.#removing;
  }

  async #remove(): Promise<void> {
    await this.#rollback.over;
    if (!this.isReplaced) await this.#erase();
  }

  /** Another of its id is listed in its place: ends the VM and removes everything, as its removal would. */
  async giveWay(): Promise<void> {
    this.#happened({ what: 'replaced' });
    await this.#erase();
  }

  async #erase(): Promise<void> {
    await this.#written;
    await rm(this.paths.record, { force: true });
    await failpoint('remove.forgotten');
    const { process, failure } = this.#record;
    if (this.#vm !== undefined) await this.#vm.vmm.kill();
    // Of a daemon before, and it never answered this one.
    else if (process !== undefined && failure === undefined)
      await Vmm.killOrphan({ name: this.paths.id, ...process });
    await failpoint('remove.killed');
    await this.#networks?.forget(this.paths.id);
    await this.#vm?.pager.close();
    await this.#branch.over;
    await Promise.all([this.#fold?.over, this.merges.settled()]);
    await removeSandboxFolders(this.paths);
  }

  /** Lets go of the VM, which runs on for the next daemon. */
  async release(): Promise<void> {
    await this.noteUse().catch(() => undefined);
    this.#happened({ what: 'daemon-stops' });
    this.#agent?.close();
    await this.#vm?.pager.close();
    await this.#vm?.vmm.release();
    await Promise.all([this.#fold?.over, this.merges.settled()]);
  }

  /** QEMU has stopped the guest, because its disk could not be written for want of room. */
  noteStall(): void {
    const isNews = this.takes('use') && this.takes('pause');
    this.#happened({ what: 'stalled' });
    if (isNews) this.#emit('sandbox.stalled', { id: this.id, warning: STALLED });
  }

  /** Its guest stands still, as it was asked to. */
  notePause(): void {
    if (this.#happened({ what: 'paused' })) this.#emit('sandbox.paused', { id: this.id });
  }

  /** Its guest runs again. */
  noteResume(): void {
    if (this.#happened({ what: 'resumed' })) this.#emit('sandbox.resumed', { id: this.id });
  }

  /** Lets a guest that was stopped for its disk go on; QEMU stops it again if nothing has changed. */
  async endStall(): Promise<void> {
    if (!this.takes('continue')) return;
    this.#happened({ what: 'continued' });
    await this.vm.vmm.qmp.execute('cont');
  }

  /** Lets go of a VMM that has stopped to answer; it is tried again as one of an earlier daemon. */
  async becomeUnresponsive(why: string): Promise<void> {
    const vm = this.#vm;
    if (vm === undefined || !this.#happened({ what: 'vmm-silent', why })) return;
    this.#emit('sandbox.unresponsive', { id: this.id, pid: vm.vmm.pid, err: new Error(why) });
    this.#vm = undefined;
    this.#agent?.close();
    this.#agent = undefined;
    await vm.pager.close();
    await vm.vmm.release();
  }

  /** Bytes of anonymous memory of the VMM: an upper bound of its guest's private pages. */
  privateBytes(): number {
    return processAnonymousBytes(this.vm.vmm.pid);
  }

  /** As it is shown when it is asked for by itself. */
  info(): SandboxView {
    return { ...this.view(), ...compact({ consoleTail: this.#record.consoleTail }) };
  }

  /** As it is listed. */
  view(): SandboxView {
    const [record, shown, lifetime] = [this.#record, lasting(this.#lifecycle), this.lifetime.view()];
    return viewOf({ record, shown, lifetime, seccomp: this.#seccomp, vm: this.#vm });
  }
}
