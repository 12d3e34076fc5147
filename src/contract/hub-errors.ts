/** Rows of the error catalogue: snapshots on their way between hosts. */

export const hubErrors = {
  bad_snapshot_archive: {
    status: 400,
    retryable: false,
    message: (a: { problem: string }) => `Cannot take in the snapshot: ${a.problem}`,
  },
  snapshot_untrusted: {
    status: 403,
    retryable: false,
    message: (a: { problem: string }) =>
      `Cannot take in the snapshot: ${a.problem}; trust its key (\`bough hub trust\`), or allow an unsigned one by name`,
  },
  host_not_ready: {
    status: 503,
    retryable: false,
    message: (a: { operation: string; problem: string }) => `This host cannot ${a.operation}: ${a.problem}`,
  },
} as const;
