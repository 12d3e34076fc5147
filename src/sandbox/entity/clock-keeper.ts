/**
 * A guest's wall clock stands still with its vCPUs, and stays behind for good. QEMU tells of every stop, whatever it was for: a branch, a
 * disk without room. When they add up to more than anyone should notice, the clock is set.
 *
 * Not handled: stops that are over before a daemon listens; whoever adopts a guest that runs has its clock set.
 */
import type { QmpEvent } from '../../qmp/index.js';

const TOLERATED_MS = 20;

export class ClockKeeper {
  readonly #setClock: () => Promise<void>;
  readonly #onNotSet: (error: unknown) => void;
  #stoppedAtMs: number | undefined;
  #behindMs = 0;
  #setting: Promise<void> = Promise.resolve();

  /**
   * `setClock` sets the guest's clock to the host's, or rejects; `onNotSet` is then told why, and the next pause tries again. Nobody
   * else waits for it: a guest that is starved may take its time.
   */
  constructor(setClock: () => Promise<void>, onNotSet: (error: unknown) => void) {
    this.#setClock = setClock;
    this.#onNotSet = onNotSet;
  }

  /** Takes every event of the VM. */
  note({ event, unixMs }: Pick<QmpEvent, 'event' | 'unixMs'>): void {
    if (event === 'STOP') this.#stoppedAtMs = unixMs;
    if (event !== 'RESUME' || this.#stoppedAtMs === undefined) return;
    const stoodMs = unixMs - this.#stoppedAtMs;
    this.#stoppedAtMs = undefined;
    this.#behindMs += Math.max(0, stoodMs);
    // A host whose own clock was set back meanwhile cannot tell for how long the guest stood.
    if (stoodMs < 0 || this.#behindMs > TOLERATED_MS) this.set();
  }

  /** Takes note of a guest that was found standing still, nobody knows since when. */
  foundStopped(): void {
    this.#stoppedAtMs = 0;
  }

  /** Resolves when every setting that was begun is over. */
  get settled(): Promise<void> {
    return this.#setting;
  }

  /** Has the clock set, however far behind it is. */
  set(): void {
    const toldMs = this.#behindMs;
    this.#behindMs = 0;
    this.#setting = this.#setting.then(this.#setClock).catch((error: unknown) => {
      this.#behindMs += toldMs;
      this.#onNotSet(error);
    });
  }
}
