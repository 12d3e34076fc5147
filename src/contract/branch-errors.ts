/** Why a sandbox could not be branched: rows of the error catalogue. */

export const branchErrors = {
  sandbox_outdated: {
    status: 409,
    retryable: false,
    message: (a: { id: string; wanted: number; found: number }) =>
      `Cannot branch sandbox "${a.id}": another version of bough started it, whose pager speaks protocol ${a.found} where this one speaks ${a.wanted}`,
  },
  branch_in_progress: {
    status: 409,
    retryable: true,
    message: (a: { id: string }) => `Sandbox "${a.id}" is being branched by another request`,
  },
  mode_unsupported: {
    status: 400,
    retryable: false,
    message: (a: { mode: string; reason: string }) => `Cannot branch in mode "${a.mode}": ${a.reason}`,
  },
  too_many_branches: {
    status: 503,
    retryable: true,
    message: (a: { limit: number }) => `Too many branches at once: the limit is ${a.limit}`,
  },
  branch_not_in_time: {
    status: 503,
    retryable: true,
    message: (a: { id: string; problem: string }) =>
      `Sandbox "${a.id}" is as it was, but was not captured in time: ${a.problem}`,
  },
  source_died: {
    status: 500,
    retryable: false,
    message: (a: { id: string; reason: string }) =>
      `Sandbox "${a.id}" ended while it was being branched: ${a.reason}`,
  },
} as const;
