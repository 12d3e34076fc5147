/** Work that is done again and again, never twice at once. */

/** Rounds that go on until they are stopped. */
export interface Rounds {
  /** Begins no further round and waits for the one under way. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a round every `intervalMs` unless the one before still runs. `work` must handle its own errors;
 * keeps no process alive.
 */
export function startRounds(intervalMs: number, work: () => Promise<void>): Rounds {
  let underWay: Promise<void> | undefined;
  const timer = setInterval(() => {
    underWay ??= work().finally(() => (underWay = undefined));
  }, intervalMs);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await underWay;
    },
  };
}
