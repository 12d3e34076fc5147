/**
 * A stream that is taken up again where it was cut off.
 *
 * Whoever opens it says from where, so nothing comes twice and nothing is missed. A daemon that was never there, and what it refuses, is
 * said at once; a lost connection is made again for `reconnectMs` after the last thing that came, at first soon and then less often.
 */

import { BoughApiError, BoughUnreachable } from './errors.js';
import type { CallOptions } from './transport.js';

/**
 * What a call takes whose answer is a stream that is taken up again when the connection is lost.
 *
 * @example
 * ```ts
 * await bough.spawn('base');
 * const options: StreamOptions = { signal: AbortSignal.timeout(60_000), reconnectMs: 5_000 };
 * for await (const { event } of bough.events({ from: 'oldest' }, options)) {
 *   console.log(event); // created
 *   break;
 * }
 * ```
 */
export interface StreamOptions extends CallOptions {
  /** How long a lost connection is tried again, in milliseconds. Default 30,000; 0 for not at all. */
  readonly reconnectMs?: number | undefined;
}

const RECONNECT_MS = 30_000;
const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 1_000;

/** A stream, and how to have it. */
export interface Reconnectable<T> {
  /** Resolves when it is there, with what comes after what has come. */
  readonly open: () => Promise<AsyncIterable<T>>;
  /** Whether nothing follows: a stream that ends without was cut off. */
  readonly isLast: (item: T) => boolean;
  /** The daemon's. */
  readonly url: string;
  /** Whether it may be over without a last item: it is when it twice ends at once, and without a fault. */
  readonly mayBeOver?: boolean;
}

/** All of the stream, opened again after each loss. */
export async function* reconnected<T>(
  { open, isLast, url, mayBeOver = false }: Reconnectable<T>,
  { signal, reconnectMs = RECONNECT_MS }: StreamOptions,
): AsyncGenerator<T, void, undefined> {
  const loss = new Loss(reconnectMs);
  let emptyEnds = 0;
  for (;;) {
    let problem: unknown = new BoughUnreachable(url, 'the stream was cut off');
    try {
      const items = await open();
      loss.wasThere();
      for await (const item of items) {
        loss.isOver();
        emptyEnds = 0;
        yield item;
        if (isLast(item)) return;
      }
      if (mayBeOver && ++emptyEnds === 2) return;
    } catch (error) {
      if (!isLoss(error)) throw error;
      problem = error;
    }
    await loss.wait(problem, signal);
  }
}

/** The time since a stream was lost. */
class Loss {
  readonly #reconnectMs: number;
  #wasThere = false;
  #giveUpMs: number | undefined;
  #delayMs = FIRST_DELAY_MS;

  constructor(reconnectMs: number) {
    this.#reconnectMs = reconnectMs;
  }

  wasThere(): void {
    this.#wasThere = true;
  }

  isOver(): void {
    this.#giveUpMs = undefined;
    this.#delayMs = FIRST_DELAY_MS;
  }

  /** Until the next attempt. Throws `problem` when there is to be none. */
  async wait(problem: unknown, signal: AbortSignal | undefined): Promise<void> {
    this.#giveUpMs ??= performance.now() + this.#reconnectMs;
    if (!this.#wasThere || performance.now() >= this.#giveUpMs) throw problem;
    await pause(this.#delayMs, signal);
    signal?.throwIfAborted();
    this.#delayMs = Math.min(2 * this.#delayMs, MAX_DELAY_MS);
  }
}

function isLoss(error: unknown): boolean {
  return (
    error instanceof BoughUnreachable || (error instanceof BoughApiError && error.code === 'shutting_down')
  );
}

/** Resolves when the time is over, or the signal fires. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    if (signal?.aborted === true) over();
    else signal?.addEventListener('abort', over, { once: true });
  });
}
