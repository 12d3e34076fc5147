/** Rows of the error catalogue: what becomes of a service that a snapshot was to have in it. `log` is the end of what it printed. */

export const serviceErrors = {
  service_ended: {
    status: 500,
    retryable: false,
    message: ({ problem, log }: { problem: string; log: string }) =>
      `What was to run in the snapshot ended before it was ready: ${problem}; ${endOf(log)}`,
  },
  service_not_ready: {
    status: 504,
    retryable: false,
    message: (a: { check: string; timeoutMs: number; problem: string; log: string }) =>
      `What was to run in the snapshot was not ready within ${a.timeoutMs} ms: ${a.check}: ${a.problem}; ${endOf(a.log)}`,
  },
} as const;

function endOf(log: string): string {
  if (log === '') return 'it printed nothing';
  return `what it printed ends with:${log.includes('\n') ? '\n' : ' '}${log}`;
}
