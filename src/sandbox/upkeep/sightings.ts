/**
 * For how long this process has seen a thing to be there, by the monotonic clock.
 *
 * Times of files are the wall clock's, which may step: what looks an hour old may have been made a moment
 * ago.
 */
import { hostClock, type Clock } from '../../base/index.js';

export class Sightings {
  readonly #clock: Clock;
  readonly #sinceMs = new Map<string, number>();

  constructor(clock: Clock = hostClock) {
    this.#clock = clock;
  }

  /** Takes note of what is there now; the rest is forgotten. */
  look(names: readonly string[]): void {
    const there = new Set(names);
    for (const name of this.#sinceMs.keys()) if (!there.has(name)) this.#sinceMs.delete(name);
    for (const name of there) if (!this.#sinceMs.has(name)) this.#sinceMs.set(name, this.#clock.bootMs());
  }

  /** Milliseconds since it was first seen; 0 for what was not there at the last look. */
  seenMs(name: string): number {
    const nowMs = this.#clock.bootMs();
    return nowMs - (this.#sinceMs.get(name) ?? nowMs);
  }
}
