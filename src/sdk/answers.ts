/** What an answer is to a caller: a value, bytes as they come, or an error. */

import { isErrorCode } from '../contract/errors.js';
import { BoughApiError, BoughUnreachable } from './errors.js';

/** The body of an answer that is a success: JSON, text, or undefined for none. */
export async function valueOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (isJson(response)) return JSON.parse(text);
  return text === '' ? undefined : text;
}

/** What the daemon refused a call with. */
export async function refusalOf(response: Response): Promise<BoughApiError> {
  const { status, headers } = response;
  const requestId = headers.get('x-request-id') ?? undefined;
  const text = await response.text();
  const failure: unknown = isJson(response) ? JSON.parse(text) : undefined;
  if (!isRecord(failure) || typeof failure['error'] !== 'string' || !isErrorCode(failure['code'])) {
    const message = `Unexpected answer with status ${status}`;
    return new BoughApiError(message, { status, code: 'unexpected_answer', requestId });
  }
  const details = isRecord(failure['details']) ? failure['details'] : undefined;
  return new BoughApiError(failure['error'], { status, code: failure['code'], details, requestId });
}

/**
 * The body as it comes. Who stops reading closes the connection. What cuts it off is `BoughUnreachable`, or the reason of the signal that
 * did.
 */
export async function* chunksOf(
  { body }: Response,
  { url, signal }: { readonly url: string; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array, void, undefined> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw new BoughUnreachable(url, transportProblem(error), { cause: error });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** What the transport says of a failure of its own, for people. */
export function transportProblem(error: unknown): string {
  const cause = error instanceof Error && isRecord(error.cause) ? error.cause : {};
  if (cause['code'] === 'UND_ERR_HEADERS_TIMEOUT') {
    return 'this client waits 300 seconds for an answer; the daemon may still be working on it';
  }
  if (cause['code'] === 'ECONNREFUSED') return 'nothing listens there';
  if (typeof cause['message'] === 'string') return cause['message'];
  return error instanceof Error ? error.message : String(error);
}

function isJson({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('application/json') === true;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
