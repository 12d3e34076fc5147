/**
 * Commands that start something of their own: an interrupt ends the work, and then what was started.
 *
 * One Ctrl-C arrives more than once: the terminal sends it to every process in front, and those between (npm,
 * npx, a script) pass it on. So what follows within a moment is the same one; a later one ends the process at
 * once.
 */

const SAME_INTERRUPT_MS = 500;
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `work` with a signal that SIGINT, SIGTERM and SIGHUP abort, so that it can clean up. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stopListening = (): void => {
    for (const each of signals) process.off(each, onSignal);
  };
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) return;
    controller.abort(new Error(`Interrupted by ${name}; cleaned up`));
    setTimeout(stopListening, SAME_INTERRUPT_MS).unref();
  };
  for (const each of signals) process.on(each, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}
