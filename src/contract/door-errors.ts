/** The part of the error catalogue that is about who may call, and from where. */
export const doorErrors = {
  unauthorized: {
    status: 401,
    retryable: false,
    message: () => 'Missing or wrong token: send "Authorization: Bearer <token>"',
  },
  token_revoked: {
    status: 401,
    retryable: false,
    message: () => 'The call was ended: its token was taken back, or it had none and one is needed now',
  },
  scope_missing: {
    status: 403,
    retryable: false,
    message: (a: { token: string; scope: string; needed: string }) =>
      `The token "${a.token}" is for "${a.scope}"; this call takes one for "${a.needed}"`,
  },
  host_not_allowed: {
    status: 403,
    retryable: false,
    message: () =>
      'The Host header does not name this machine: use localhost, 127.0.0.1 or [::1], or listen on another address',
  },
  origin_not_allowed: {
    status: 403,
    retryable: false,
    message: () => 'A page of another site may not call this daemon',
  },
} as const;
