/** What a call through the SDK can fail with. */

import type { ErrorCode } from '../contract/errors.js';

/** The daemon answered, and the answer is a failure. */
export class BoughApiError extends Error {
  override readonly name = 'BoughApiError';
  /** The HTTP status. */
  readonly status: number;
  /** A code of the catalogue, or `unexpected_answer` when what answered does not speak this API. */
  readonly code: ErrorCode | 'unexpected_answer';
  /** What the error is about, as docs say of each code; empty if it says nothing more. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Finds the request in the daemon's log. */
  readonly requestId: string | undefined;

  constructor(
    message: string,
    fields: {
      status: number;
      code: ErrorCode | 'unexpected_answer';
      details?: Readonly<Record<string, unknown>> | undefined;
      requestId?: string | undefined;
    },
  ) {
    super(message);
    this.status = fields.status;
    this.code = fields.code;
    this.details = fields.details ?? {};
    this.requestId = fields.requestId;
  }
}

/**
 * No answer: nothing listens there, the connection was lost, or the client's own transport gave up waiting.
 */
export class BoughUnreachable extends Error {
  override readonly name = 'BoughUnreachable';
  /** The daemon's, as the client was given it. */
  readonly url: string;

  constructor(url: string, problem: string, options?: ErrorOptions) {
    super(`No answer from ${url}: ${problem}`, options);
    this.url = url;
  }
}
