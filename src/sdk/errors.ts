/** What a call through the SDK can fail with. */

import { errorCatalogue, isErrorCode, type ErrorCode } from '../contract/errors.js';

/**
 * The daemon answered, and the answer is a failure.
 *
 * @example
 * ```ts
 * const error = await bough.spawn('absent').catch((reason: unknown) => reason);
 * if (error instanceof BoughApiError) console.log(error.status, error.code, error.details); // 404 snapshot_not_found { tag: 'absent' }
 * ```
 */
export class BoughApiError extends Error {
  override readonly name = 'BoughApiError';
  /** Whether the same call may succeed later without anyone changing it. */
  readonly retryable: boolean;
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
    this.retryable = fields.code !== 'unexpected_answer' && errorCatalogue[fields.code].retryable;
    this.details = fields.details ?? {};
    this.requestId = fields.requestId;
  }
}

/** What is told of a failure where there is no answer of its own: at the end of a stream that had begun. */
export function failureTold(code: string, message: string): BoughApiError {
  const known = isErrorCode(code) ? code : 'unexpected_answer';
  const status = known === 'unexpected_answer' ? 200 : errorCatalogue[known].status;
  return new BoughApiError(message, { status, code: known });
}

/**
 * No answer: nothing listens there, the connection was lost, or the client's own transport gave up waiting.
 *
 * @example
 * ```ts
 * const nowhere = new Bough({ url: 'http://127.0.0.1:1' });
 * const error = await nowhere.healthz().catch((reason: unknown) => reason);
 * console.log(error instanceof BoughUnreachable && error.url); // http://127.0.0.1:1
 * ```
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
