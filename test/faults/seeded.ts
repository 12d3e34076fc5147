/** Chance that can be repeated: the seed is printed, and taken from `BOUGH_SEED` if that is set. */
import { randomInt } from 'node:crypto';

export class Seeded {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A fresh seed, unless the environment says which. */
  static fromEnvironment(): Seeded {
    const given = process.env['BOUGH_SEED'];
    return new Seeded(given === undefined ? randomInt(2 ** 31) : Number(given));
  }

  /** Such as `BOUGH_SEED=7`. */
  get name(): string {
    return `BOUGH_SEED=${this.seed}`;
  }

  /** A whole number from 0 to `limit` - 1 (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new TypeError('Nothing to pick from');
    return choice;
  }
}
