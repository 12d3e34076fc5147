/**
 * VMMs that stand ready before anybody asks for them: empty, stopped, of the machines that children were lately started on.
 *
 *   made ready, when no start is under way ─▶ idle ─▶ taken: it becomes a child of whichever snapshot has such a machine
 *                                              └─ memory runs short, it ends by itself, the host closes ─▶ gone without a trace
 *
 * One that is idle has all that a sandbox has before it is of a snapshot: id, folders, an empty overlay, a user of its own, the agent's socket. No record names it, so a daemon
 * that comes back ends it as it ends every start that was cut short.
 *
 * Not handled: sandboxes with a network, with a memory limit, or in namespaces of their own. What those are started with is known with the request only.
 */
import { failpoint, ResourceStack, startRounds, WorkSet, type Rounds } from '../../base/index.js';
import type { Emit } from '../../contract/index.js';
import type { DiskRef, Manifest } from '../../store/index.js';
import type { OverlayTemplates } from '../disk/overlays.js';
import type { SandboxPaths, Tiers } from '../entity/paths.js';
import type { SandboxRegistry } from '../entity/registry.js';
import { startEmptyVm, type EmptyVmRequest, type Vm, type VmHost } from '../entity/vm.js';
import type { Walls } from '../entity/walls.js';
import { bootBytes, type Admission } from './admission.js';
import { makeGround, makeOverlay, startWalled } from './bring-up.js';

/** Of the latest ones; others are forgotten, with what stands ready for them. */
const MAX_MACHINES = 2;
const PRESSURE_ROUND_MS = 1_000;

/** What must be the same for a VMM to become a child: all of its arguments that are not its own. */
type Shape = Pick<EmptyVmRequest, 'machine' | 'agentPort' | 'diskBytes'>;

export interface WarmVm {
  readonly paths: SandboxPaths;
  readonly vm: Vm;
  readonly diskBytes: number;
  readonly overlay: DiskRef;
  /** Ends it, and removes what there is of it. */
  readonly undo: ResourceStack;
}

interface Ready {
  readonly shape: Shape;
  readonly idle: Set<WarmVm>;
}

interface Context {
  readonly tiers: Tiers;
  readonly overlays: Pick<OverlayTemplates, 'create'>;
  readonly sandboxes: SandboxRegistry;
  readonly vmHost: VmHost;
  readonly walls?: Walls;
  readonly emit: Emit;
  readonly admission: Pick<Admission, 'admitNow' | 'isShort'>;
}

/** What a start is made of, but for tests. */
export type StartEmptyVm = typeof startEmptyVm;

export class WarmVmms {
  readonly #context: Context;
  readonly #count: number;
  readonly #start: StartEmptyVm;
  /** By what a snapshot says of its machine; the latest last. */
  readonly #ready = new Map<string, Ready>();
  readonly #ending = new WorkSet();
  readonly #rounds: Rounds;
  #refilling: { readonly giveUp: AbortController; readonly over: Promise<void> } | undefined;
  #isStopped = false;

  /** `count` of each machine. */
  constructor(context: Context, count: number, start: StartEmptyVm = startEmptyVm) {
    this.#context = context;
    this.#count = count;
    this.#start = start;
    this.#rounds = startRounds(PRESSURE_ROUND_MS, async () => {
      // What cannot be looked at now, for want of descriptors, is looked at again.
      if (await context.admission.isShort().catch(() => false)) await this.giveBack();
    });
  }

  get idleCount(): number {
    return this.#all().length;
  }

  /** One that can become a child of the snapshot, and is the caller's from now on. */
  take(manifest: Manifest): WarmVm | undefined {
    const idle = this.#ready.get(keyOf(manifest))?.idle;
    const [warm] = idle ?? [];
    if (warm !== undefined) idle?.delete(warm);
    return warm;
  }

  /** A child of the snapshot was asked for: others are likely to be. */
  noteStart(manifest: Manifest, diskBytes: number): void {
    const key = keyOf(manifest);
    const { machine, agent } = manifest;
    const ready = this.#ready.get(key) ?? {
      shape: { machine, agentPort: agent.guestPort, diskBytes },
      idle: new Set(),
    };
    this.#ready.delete(key);
    this.#ready.set(key, ready);
    const [oldest] = this.#ready;
    if (oldest === undefined || this.#ready.size <= MAX_MACHINES) return;
    this.#ready.delete(oldest[0]);
    // The child of the latest does not wait for it.
    this.#ending.add(closeAll(oldest[1].idle));
  }

  /** Makes up for those that were taken, one after the other and in the background, as far as there is memory for them. */
  refill(): void {
    if (this.#refilling !== undefined || this.#missing() === undefined) return;
    const giveUp = new AbortController();
    const over = this.#refill(giveUp.signal)
      .catch((err: unknown) => {
        if (err !== giveUp.signal.reason) this.#context.emit('vmm.not-warm', { err });
      })
      .finally(() => (this.#refilling = undefined));
    this.#refilling = { giveUp, over };
  }

  /** Ends those that are idle, and the one that is being made ready, which holds room as well; true if there were any. */
  async giveBack(): Promise<boolean> {
    const refilling = this.#refilling;
    refilling?.giveUp.abort();
    const all = this.#all();
    for (const { idle } of this.#ready.values()) idle.clear();
    await Promise.all([closeAll(all), refilling?.over]);
    return all.length > 0 || refilling !== undefined;
  }

  /** Ends all that nobody has taken, and makes no more. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#rounds.stop();
    await this.giveBack();
    await this.#ending.settled();
  }

  #all(): WarmVm[] {
    return [...this.#ready.values()].flatMap(({ idle }) => [...idle]);
  }

  /** Of the latest machine first. */
  #missing(): Ready | undefined {
    if (this.#isStopped) return undefined;
    return [...this.#ready.values()].findLast(({ idle }) => idle.size < this.#count);
  }

  async #refill(signal: AbortSignal): Promise<void> {
    for (let ready = this.#missing(); ready !== undefined; ready = this.#missing()) {
      const { tickets } = await this.#context.admission.admitNow(bootBytes(0), 1);
      const [ticket] = tickets;
      if (ticket === undefined) return;
      try {
        signal.throwIfAborted();
        await this.#makeReady(ready, signal);
      } finally {
        ticket.release();
      }
    }
  }

  async #makeReady(ready: Ready, signal: AbortSignal): Promise<void> {
    await using undo = new ResourceStack();
    const paths = await makeGround(this.#context, undo);
    await failpoint('warm.ground');
    const { diskBytes } = ready.shape;
    const overlay = await makeOverlay(this.#context, paths, diskBytes);
    await failpoint('warm.overlay');
    const vm = await startWalled(this.#context, { ...ready.shape, paths, signal }, undo, this.#start);
    await failpoint('warm.ready');
    signal.throwIfAborted();
    const isForgotten = ![...this.#ready.values()].includes(ready);
    if (isForgotten) return;
    const warm = { paths, vm, diskBytes, overlay, undo: undo.move() };
    ready.idle.add(warm);
    void vm.vmm.exited.then(() => {
      if (ready.idle.delete(warm)) this.#ending.add(closeAll([warm]));
    });
  }
}

async function closeAll(warm: Iterable<WarmVm>): Promise<void> {
  await Promise.all([...warm].map(({ undo }) => undo.close().catch(() => undefined)));
}

/** Snapshots that have it in common differ in nothing that QEMU is started with: the lowest disk says how large the guest's is. */
function keyOf({ machine, agent, disks }: Manifest): string {
  const { machineType, accel, cpuModel, vcpus, memoryMiB, deviceLayout } = machine;
  const ofMachine = [machineType, accel, cpuModel, vcpus, memoryMiB, deviceLayout];
  return JSON.stringify([...ofMachine, agent.guestPort, disks[0]?.id]);
}
