/** So many at a time; who comes later waits, in order. */
import { abortReason } from '../base/index.js';

export class Slots {
  readonly #waiting = new Set<() => void>();
  #freeCount: number;

  constructor(count: number) {
    this.#freeCount = count;
  }

  /** Resolves with what gives the slot back, to be called once. Rejects with the signal's reason. */
  async take(signal: AbortSignal): Promise<() => void> {
    if (this.#freeCount > 0) this.#freeCount -= 1;
    else await this.#turn(signal);
    return () => this.#giveBack();
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onTurn = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(onTurn);
        reject(abortReason(signal));
      };
      if (signal.aborted) reject(abortReason(signal));
      else {
        this.#waiting.add(onTurn);
        signal.addEventListener('abort', onAbort, { once: true });
      }
    });
  }

  #giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#freeCount += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
