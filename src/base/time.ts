/**
 * Clocks, sleeping and deadlines.
 *
 * Durations are always taken from the monotonic clock; `unixSeconds` is for people and manifests only. Every
 * timer is cleared when its wait ends, whatever ended it.
 */
import { performance } from 'node:perf_hooks';
import { abortReason } from './abort.js';

/** Milliseconds on a clock that never steps; only differences mean anything. */
export function monotonicMs(): number {
  return performance.now();
}

/** Whole seconds since 1970 by the host's wall clock. */
export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason if that comes first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      if (signal !== undefined) reject(abortReason(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Thrown by `withDeadline`: `what` did not happen within `deadlineMs`. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
  readonly what: string;
  readonly deadlineMs: number;

  constructor(what: string, deadlineMs: number) {
    super(`${what} did not finish within ${deadlineMs} ms`);
    this.what = what;
    this.deadlineMs = deadlineMs;
  }
}

/**
 * Settles as `promise` does, or rejects with DeadlineExceeded after `deadlineMs`; does not cancel the work
 * behind it.
 */
export async function withDeadline<T>(promise: Promise<T>, deadlineMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeadlineExceeded(what, deadlineMs)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
