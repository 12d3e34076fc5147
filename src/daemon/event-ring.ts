/**
 * The latest events, for whoever reads them at a pace of his own.
 *
 * The ring holds so many and no more, and a reader is nothing but a place in it: one that is slow, or was away, finds what is still there
 * and is told how much is not. So readers cost nothing, however many there are and however slow.
 *
 * An id says which ring gave it and when: a ring that began later cannot know what an id of an earlier one stands for.
 */
import { randomBytes } from 'node:crypto';

const KEPT = 4096;

/** An event, as it is kept. */
export interface Kept<E> {
  readonly id: string;
  readonly event: E;
}

/** Events that a reader is too late for: how many, or null when nobody knows. */
export interface Missed {
  readonly id: string;
  readonly missed: number | null;
}

export class EventRing<E> {
  readonly #epoch = randomBytes(6).toString('hex');
  readonly #size: number;
  /** The event of number n is at n modulo size. */
  readonly #kept: E[] = [];
  #count = 0;
  readonly #waiting = new Set<() => void>();

  constructor(size = KEPT) {
    this.#size = size;
  }

  push(event: E): void {
    this.#kept[this.#count % this.#size] = event;
    this.#count += 1;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Whether any that is kept is so. */
  some(test: (event: E) => boolean): boolean {
    return this.#kept.some(test);
  }

  /** A place to read from: after an id, at the oldest event, or at the next one. */
  reader(from: string | undefined): RingReader<E> {
    const [epoch, number = ''] = from?.split('-') ?? [];
    const after = Number(number);
    if (from === undefined) return new RingReader(this.#look, this.#count);
    if (from === 'oldest') return new RingReader(this.#look, this.#oldest);
    if (epoch === this.#epoch && after <= this.#count) return new RingReader(this.#look, after);
    return new RingReader(this.#look, undefined);
  }

  get #oldest(): number {
    return Math.max(0, this.#count - this.#size);
  }

  /** What is at a place: an event, what is missing before one, or who is woken when there is more. */
  readonly #look = (place: number | undefined): Look<E> => {
    const oldest = this.#oldest;
    if (place === undefined) return { place: oldest, found: { id: this.#idOf(oldest), missed: null } };
    if (place < oldest) return { place: oldest, found: { id: this.#idOf(oldest), missed: oldest - place } };
    if (place === this.#count) return { place, waiting: this.#waiting };
    const event = this.#kept[place % this.#size] as E;
    return { place: place + 1, found: { id: this.#idOf(place + 1), event } };
  };

  /** Of the place after so many events. */
  #idOf(place: number): string {
    return `${this.#epoch}-${place}`;
  }
}

type Look<E> =
  | { readonly place: number; readonly found: Kept<E> | Missed }
  | { readonly place: number; readonly waiting: Set<() => void> };

/** A place in a ring. */
export class RingReader<E> {
  readonly #look: (place: number | undefined) => Look<E>;
  #place: number | undefined;

  constructor(look: (place: number | undefined) => Look<E>, place: number | undefined) {
    this.#look = look;
    this.#place = place;
  }

  /** What comes next, or undefined if nothing does within `withinMs` or before the signal fires. */
  async next(withinMs: number, signal: AbortSignal): Promise<Kept<E> | Missed | undefined> {
    for (let waited = false; !signal.aborted; waited = true) {
      const look = this.#look(this.#place);
      this.#place = look.place;
      if ('found' in look) return look.found;
      if (waited) return undefined;
      await woken(look.waiting, withinMs, signal);
    }
    return undefined;
  }
}

async function woken(waiting: Set<() => void>, withinMs: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      waiting.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, withinMs);
    waiting.add(done);
    signal.addEventListener('abort', done);
  });
}
