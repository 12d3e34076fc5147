/** Commands that start something of their own: an interrupt ends the work, and then what was started. */

/** Runs `work` with a signal that an interrupt or SIGTERM aborts, so that it can clean up; a second one ends the process. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) =>
    controller.abort(new Error(`Interrupted by ${name}; cleaned up`));
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}
