/** What can go wrong with the timeline of a sandbox: rows of the error catalogue. */

export const timelineErrors = {
  rollback_in_progress: {
    status: 409,
    retryable: true,
    message: (a: { id: string }) => `Sandbox "${a.id}" is being rolled back by another request`,
  },
  sandbox_rolled_back: {
    status: 409,
    retryable: true,
    message: (a: { id: string }) =>
      `Sandbox "${a.id}" was rolled back meanwhile: what ran in it before is gone`,
  },
  no_checkpoint: {
    status: 409,
    retryable: false,
    message: (a: { id: string }) =>
      `Sandbox "${a.id}" has no checkpoint to go back to: make one first, or name a snapshot`,
  },
} as const;
