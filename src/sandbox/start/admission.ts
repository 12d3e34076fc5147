/**
 * Whether this host has memory for one more VM: the policy, all of it.
 *
 *   room     = MemAvailable − reserve − what VMs that are just starting were promised
 *   a child  = what most children of its snapshot were seen to own, and a quarter more
 *              where none was seen yet: VMM + a share of its guest's RAM, since it shares its layers
 *   a boot   = VMM + all of its guest's RAM
 *
 * Memory in use by VMs that have started is gone from MemAvailable, so nothing is added up over them: a guest
 * that goes on to write more than it was taken to lives on the reserve, and on what its siblings do not use.
 *
 * Not handled: a memory cgroup around the daemon that is smaller than the host.
 */
import { readFile } from 'node:fs/promises';
import { MiB } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';

/** QEMU itself, its translation buffer, page tables. */
const VMM_BYTES = 120 * MiB;
/** What part of its RAM a child is taken to write. */
const CHILD_SHARE = 1 / 32;
/** Kept free when nothing else is configured. */
export const DEFAULT_MEMORY_RESERVE_BYTES = 512 * MiB;

/** No child is taken to need less: QEMU alone owns as much before its guest has done anything. */
const LEAST_CHILD_BYTES = 32 * MiB;
/** A child that was just started, or idle, goes on to own more. */
const GROWTH = 1.25;
/** Of those seen, this part owned no more than the one that is gone by: a single large one makes no other child dear. */
const QUANTILE = 0.75;
/** Snapshots that are remembered. */
const MAX_REMEMBERED = 256;

/** What children of each snapshot were seen to take: of the latest 256 snapshots that children were asked for of. */
export class ChildSizes {
  readonly #bytesEach = new Map<string, number>();

  /** What one more child of a snapshot is taken to need. `owned` is what its running children own now, and is remembered. */
  bytesFor(snapshotId: string, memoryMiB: number, owned: readonly number[]): number {
    const bytes = owned.length === 0 ? this.#bytesEach.get(snapshotId) : bytesEachOf(owned);
    if (bytes === undefined) return childBytes(memoryMiB);
    this.#remember(snapshotId, bytes);
    return bytes;
  }

  #remember(snapshotId: string, bytes: number): void {
    this.#bytesEach.delete(snapshotId);
    this.#bytesEach.set(snapshotId, bytes);
    const [oldest] = this.#bytesEach.keys();
    if (oldest !== undefined && this.#bytesEach.size > MAX_REMEMBERED) this.#bytesEach.delete(oldest);
  }
}

function bytesEachOf(owned: readonly number[]): number {
  const ascending = owned.toSorted((a, b) => a - b);
  const seen = ascending[Math.ceil(QUANTILE * ascending.length) - 1] ?? 0;
  return Math.max(LEAST_CHILD_BYTES, Math.ceil(seen * GROWTH));
}

/** What a child of a snapshot of which none was seen is taken to need, in bytes. */
export function childBytes(memoryMiB: number): number {
  return VMM_BYTES + Math.ceil(memoryMiB * CHILD_SHARE) * MiB;
}

/** What a guest that boots is taken to need, in bytes. */
export function bootBytes(memoryMiB: number): number {
  return VMM_BYTES + memoryMiB * MiB;
}

/** Room for one VM until it has started or failed. */
export interface Ticket {
  /** Idempotent. */
  release(): void;
  [Symbol.dispose](): void;
}

export interface Admitted {
  readonly tickets: Ticket[];
  readonly refusal?: BoughError;
}

export interface AdmissionOptions {
  readonly reserveBytes?: number | undefined;
  /** What the host could give now; the kernel's estimate unless a test says otherwise. */
  readonly availableBytes?: () => Promise<number>;
  /** Gives back what only stands ready, where there is no room otherwise; false if there was nothing. */
  readonly makeRoom?: () => Promise<boolean>;
}

export class Admission {
  readonly #reserveBytes: number;
  readonly #availableBytes: () => Promise<number>;
  readonly #makeRoom: () => Promise<boolean>;
  #promisedBytes = 0;

  constructor(options: AdmissionOptions = {}) {
    this.#reserveBytes = options.reserveBytes ?? DEFAULT_MEMORY_RESERVE_BYTES;
    this.#availableBytes = options.availableBytes ?? memAvailable;
    this.#makeRoom = options.makeRoom ?? (() => Promise.resolve(false));
  }

  /** Room for `count` VMs of `bytesEach`, for all of them or none. Throws `no_memory`. */
  async admit(bytesEach: number, count: number): Promise<Ticket[]> {
    const { tickets, refusal } = await this.admitSome(bytesEach, count);
    if (refusal === undefined) return tickets;
    for (const ticket of tickets) ticket.release();
    throw refusal;
  }

  /** Room for as many as there is room for; `refusal` says why it is not for all. */
  async admitSome(bytesEach: number, count: number): Promise<Admitted> {
    const admitted = await this.admitNow(bytesEach, count);
    if (admitted.refusal === undefined || !(await this.#makeRoom())) return admitted;
    for (const ticket of admitted.tickets) ticket.release();
    return this.admitNow(bytesEach, count);
  }

  /** Whether the reserve is being lived on. */
  async isShort(): Promise<boolean> {
    return (await this.#availableBytes()) < this.#reserveBytes + this.#promisedBytes;
  }

  /** As `admitSome`, of the room that there is. */
  async admitNow(bytesEach: number, count: number): Promise<Admitted> {
    // Nothing waits between the measurement and the promise: two callers cannot both get the last room.
    const measured = await this.#availableBytes();
    const roomBytes = Math.max(0, measured - this.#reserveBytes - this.#promisedBytes);
    const admitted = Math.min(count, Math.floor(roomBytes / bytesEach));
    const tickets = Array.from({ length: admitted }, () => this.#promise(bytesEach));
    if (admitted === count) return { tickets };
    const facts = { neededBytes: bytesEach * count, availableBytes: roomBytes };
    return { tickets, refusal: new BoughError('no_memory', facts) };
  }

  #promise(bytes: number): Ticket {
    this.#promisedBytes += bytes;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#promisedBytes -= bytes;
      isHeld = false;
    };
    return { release, [Symbol.dispose]: release };
  }
}

/** proc_meminfo(5): memory for new programs without swapping. Layers in tmpfs are not part of it. */
async function memAvailable(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}
