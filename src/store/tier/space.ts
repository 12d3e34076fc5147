/**
 * Room in a tier: what the file system has left minus what running captures were promised and have not yet
 * taken.
 *
 * The idea: ENOSPC must be found before a guest is stopped, so whoever is going to write reserves first. What
 * a reservation's owner has already allocated is in the file system's own numbers and is not counted twice.
 */
import { statfsSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { errorCode, isNoRoom } from '../../base/index.js';
import { NoSpace, type Tier } from '../errors.js';
import type { TierSpace } from '../types.js';

/** Bytes promised to someone; `release()` is idempotent. */
export interface Reservation {
  release(): void;
}

interface Promised {
  readonly bytes: number;
  readonly allocatedBytes: () => number | Promise<number>;
}

/** A limit of our own on what a tier holds, besides the file system's. */
export interface Quota {
  /** Infinity for none. */
  readonly limitBytes: number;
  readonly usedBytes: () => Promise<number>;
}

/** The room of one tier. */
export class Space {
  readonly tier: Tier;
  readonly #path: string;
  readonly #quota: Quota | undefined;
  readonly #promised = new Set<Promised>();

  constructor(tier: Tier, path: string, quota?: Quota) {
    this.tier = tier;
    this.#path = path;
    this.#quota = quota?.limitBytes === Infinity ? undefined : quota;
  }

  async measure(): Promise<TierSpace> {
    const { freeBytes, reservedBytes } = await this.#measureFiles();
    const leftBytes = this.#quota && this.#quota.limitBytes - (await this.#quota.usedBytes());
    return { freeBytes: Math.max(0, Math.min(freeBytes, leftBytes ?? Infinity)), reservedBytes };
  }

  /**
   * For what is written at once, and is soon gone again: throws NoSpace where those bytes were promised to others. The quota, which is
   * for what stays, is not asked.
   */
  async check(bytes: number): Promise<void> {
    const { freeBytes, reservedBytes } = await this.#measureFiles();
    const availableBytes = Math.max(0, freeBytes - reservedBytes);
    if (bytes > availableBytes) throw new NoSpace(this.tier, bytes, availableBytes);
  }

  async #measureFiles(): Promise<TierSpace> {
    // On tmpfs, where that takes less than handing it to a thread.
    const { bavail, bsize } = this.tier === 'hot' ? statfsSync(this.#path) : await statfs(this.#path);
    let reservedBytes = 0;
    for (const { bytes, allocatedBytes } of this.#promised) {
      reservedBytes += Math.max(0, bytes - (await allocatedBytes()));
    }
    return { freeBytes: bavail * bsize, reservedBytes };
  }

  /**
   * Promises `bytes`, or throws NoSpace. `allocatedBytes` says how much of them the owner has written by now.
   */
  async reserve(bytes: number, allocatedBytes: Promised['allocatedBytes'] = nothing): Promise<Reservation> {
    const promised: Promised = { bytes, allocatedBytes };
    const reservation: Reservation = { release: () => void this.#promised.delete(promised) };
    if (bytes === 0) return reservation;
    // Added before it is measured: of two concurrent callers for the last bytes at most one can win.
    this.#promised.add(promised);
    try {
      const { freeBytes, reservedBytes } = await this.measure();
      if (reservedBytes > freeBytes) {
        throw new NoSpace(this.tier, bytes, Math.max(0, freeBytes - reservedBytes + bytes));
      }
    } catch (error) {
      reservation.release();
      throw error;
    }
    return reservation;
  }

  /**
   * The error to throw for a failed write: NoSpace if the kernel said the tier is full, else the error
   * itself.
   */
  async explain(error: unknown): Promise<unknown> {
    if (!isNoRoom(errorCode(error))) return error;
    const { freeBytes } = await this.measure();
    return new NoSpace(this.tier, 0, freeBytes, { cause: error });
  }
}

const nothing = (): number => 0;

/** What a file in the hot tier takes now; 0 where there is none. */
export function allocatedBytes(path: string): number {
  try {
    return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  } catch {
    return 0;
  }
}
