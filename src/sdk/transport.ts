/**
 * One call over fetch: path parameters, query, JSON both ways, failures as errors.
 *
 * Not handled: waiting longer than the transport does. Node's own fetch gives up when no answer has begun after
 * 300 seconds; a longer `exec` needs a `fetch` with another limit. It fails as `BoughUnreachable`, saying so, and
 * what was asked for may still happen.
 */

import { endpoints, type EndpointName } from '../contract/endpoints.js';
import { isErrorCode } from '../contract/errors.js';
import { BoughApiError, BoughUnreachable } from './errors.js';

export interface TransportOptions {
  readonly url: string;
  readonly token?: string | undefined;
  readonly fetch?: typeof fetch | undefined;
}

export interface CallOptions {
  /** Stops waiting. Ends a snapshot's creation, a spawn, an exec or an eval; a branch, a fork and what has a key go on. */
  readonly signal?: AbortSignal | undefined;
  /**
   * For a call that makes something (snapshots.create and compact, sandboxes.spawn, branch and fork): the same call with the same
   * key, made again because its answer was lost, makes nothing twice. 1 to 255 visible ASCII characters, a new key for each call.
   */
  readonly idempotencyKey?: string | undefined;
}

export interface CallParts extends CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, boolean | undefined>>;
  readonly body?: unknown;
}

export type Transport = (endpoint: EndpointName, parts?: CallParts) => Promise<unknown>;

/** Makes calls to the daemon at `url`. */
export function createTransport({ url, token, fetch: ownFetch }: TransportOptions): Transport {
  const base = url.replace(/\/+$/, '');
  const send = ownFetch ?? globalThis.fetch.bind(globalThis);

  return async (endpoint, { params = {}, query = {}, body, signal, idempotencyKey } = {}) => {
    const { method, path } = endpoints[endpoint];
    const headers: Record<string, string> = { accept: 'application/json' };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    const request: RequestInit = { method, headers };
    if (body !== undefined) request.body = JSON.stringify(body);
    if (signal !== undefined) request.signal = signal;

    const target = base + fillPath(path, params) + queryString(query);
    try {
      const response = await send(target, request);
      return readAnswer(response.status, response.headers, await response.text());
    } catch (error) {
      if (error instanceof BoughApiError || signal?.aborted === true) throw error;
      throw new BoughUnreachable(base, transportProblem(error), { cause: error });
    }
  };
}

function fillPath(path: string, params: Readonly<Record<string, string>>): string {
  return path.replace(/:(\w+)/g, (_, name: string) => {
    const value = params[name] ?? '';
    // Anything else is no name, and "..", which URLs resolve away, would call another route.
    if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new TypeError(`Not a valid ${name}: ${JSON.stringify(value)}`);
    return value;
  });
}

function queryString(query: Readonly<Record<string, boolean | undefined>>): string {
  const set = Object.keys(query).filter((name) => query[name] === true);
  return set.length === 0 ? '' : `?${set.map((name) => `${name}=true`).join('&')}`;
}

function readAnswer(status: number, headers: Headers, text: string): unknown {
  const isJson = headers.get('content-type')?.startsWith('application/json') === true;
  if (status >= 200 && status < 300) {
    if (isJson) return JSON.parse(text);
    return text === '' ? undefined : text;
  }
  const requestId = headers.get('x-request-id') ?? undefined;
  const failure = isJson ? (JSON.parse(text) as { error?: unknown; code?: unknown; details?: unknown }) : {};
  if (typeof failure.error !== 'string' || !isErrorCode(failure.code)) {
    throw new BoughApiError(`Unexpected answer with status ${status}`, {
      status,
      code: 'unexpected_answer',
      requestId,
    });
  }
  const details = failure.details as Record<string, unknown> | undefined;
  throw new BoughApiError(failure.error, { status, code: failure.code, details, requestId });
}

function transportProblem(error: unknown): string {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  if (cause?.code === 'UND_ERR_HEADERS_TIMEOUT') {
    return 'this client waits 300 seconds for an answer; the daemon may still be working on it';
  }
  if (cause?.code === 'ECONNREFUSED') return 'nothing listens there';
  return cause?.message ?? (error as Error).message;
}
