/**
 * One call over fetch: path parameters, query, JSON both ways, failures as errors. What a call takes and
 * gives is read off the route table, so that a route that is not there, or a body it does not take, does not
 * compile.
 *
 * The daemon is trusted to answer as the table says; answers are not validated again.
 *
 * Not handled: waiting longer than the transport does. Node's own fetch gives up when no answer has begun
 * after 300 seconds; a longer `exec` needs a `fetch` with another limit. It fails as `BoughUnreachable`,
 * saying so, and what was asked for may still happen.
 */

import { endpoints } from '../contract/v1/endpoints.js';
import { isErrorCode } from '../contract/errors.js';
import type {
  JsonRouteName,
  RouteBodyInput,
  RouteParams,
  RouteQuery,
  RouteReply,
} from '../contract/index.js';
import { defaultUrl, fromEnvironment } from './environment.js';
import { BoughApiError, BoughUnreachable } from './errors.js';

/**
 * Where the daemon is, and how to reach it.
 *
 * @example
 * ```ts
 * const options: TransportOptions = { url: 'http://10.0.0.5:8889/behind/a/proxy', token: 'the token' };
 * console.log(new Bough(options).transport.url); // http://10.0.0.5:8889/behind/a/proxy
 * ```
 */
export interface TransportOptions {
  /** Default: BOUGH_URL, or `http://127.0.0.1:8889`; a path before the API's is kept. */
  readonly url?: string | undefined;
  /** Sent as `Authorization: Bearer`; needed where the daemon has one. Default: BOUGH_TOKEN. */
  readonly token?: string | undefined;
  /** Used instead of the global one. */
  readonly fetch?: typeof fetch | undefined;
}

/**
 * What any call takes besides its request.
 *
 * @example
 * ```ts
 * const options: CallOptions = { signal: AbortSignal.timeout(60_000), idempotencyKey: 'job-7' };
 * await using sandbox = await bough.spawn('base', {}, options);
 * ```
 */
export interface CallOptions {
  /**
   * Stops waiting. Ends a snapshot's creation, a spawn, an exec or an eval; a branch, a fork and what has a
   * key go on.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * For a call that makes something (snapshots.create and compact, sandboxes.spawn, branch and fork): the
   * same call with the same key, made again because its answer was lost, makes nothing twice. 1 to 255
   * visible ASCII characters, a new key for each call.
   */
  readonly idempotencyKey?: string | undefined;
}

type ParamsPart<P> = P extends undefined ? { readonly params?: undefined } : { readonly params: Readonly<P> };
interface QueryPart<Q> {
  readonly query?: Q extends undefined ? undefined : { readonly [K in keyof Q]?: Q[K] | undefined };
}
// A body of which nothing is required may be left out.
type BodyPart<B> = B extends undefined
  ? { readonly body?: undefined }
  : Partial<B> extends B
    ? { readonly body?: B }
    : { readonly body: B };

/**
 * What `call` takes for a route: its path parameters, query and body, as the route table has them.
 *
 * @example
 * ```ts
 * const parts: CallParts<'deleteSnapshot'> = { params: { tag: 'old' }, query: { cascade: true } };
 * console.log(parts.params.tag); // old
 * ```
 */
export type CallParts<N extends JsonRouteName> = CallOptions &
  ParamsPart<RouteParams<N>> &
  QueryPart<RouteQuery<N>> &
  BodyPart<RouteBodyInput<N>>;

type CallArguments<N extends JsonRouteName> =
  Record<string, never> extends CallParts<N> ? [parts?: CallParts<N>] : [parts: CallParts<N>];

type QueryValues = Readonly<Record<string, string | number | boolean | undefined>>;

/** The parts of any route's call, as they are sent. */
interface AnyParts extends CallOptions {
  readonly params?: Readonly<Record<string, string>> | undefined;
  readonly query?: QueryValues | undefined;
  readonly body?: unknown;
}

/**
 * Makes calls to one daemon, any route by its name in the [API](api.md).
 *
 * @example
 * ```ts
 * const sandboxes = await bough.transport.call('listSandboxes');
 * console.log(sandboxes.length); // 0
 * ```
 */
export class Transport {
  /** The daemon's. */
  readonly url: string;
  readonly #token: string | undefined;
  readonly #fetch: typeof fetch;

  constructor({ url, token, fetch: ownFetch }: TransportOptions = {}) {
    this.url = (url ?? fromEnvironment('BOUGH_URL') ?? defaultUrl).replace(/\/+$/, '');
    this.#token = token ?? fromEnvironment('BOUGH_TOKEN');
    this.#fetch = ownFetch ?? globalThis.fetch.bind(globalThis);
  }

  /**
   * Calls a route of the table that takes and gives JSON; resolves with its answer's body, with undefined for one that has none. Never
   * repeats a call.
   *
   * @example
   * ```ts
   * const [sandbox] = await bough.transport.call('spawn', { body: { snapshot_tag: 'base' } });
   * console.log(sandbox?.state); // running
   * ```
   */
  call<N extends JsonRouteName>(route: N, ...parts: CallArguments<N>): Promise<RouteReply<N>>;
  async call(route: JsonRouteName, parts: AnyParts = {}): Promise<unknown> {
    const { method, path } = endpoints[route];
    const target = this.url + fillPath(path, parts.params ?? {}) + queryString(parts.query ?? {});
    try {
      const response = await this.#fetch(target, { method, ...this.#request(parts) });
      return readAnswer(response.status, response.headers, await response.text());
    } catch (error) {
      if (error instanceof BoughApiError || parts.signal?.aborted === true) throw error;
      throw new BoughUnreachable(this.url, transportProblem(error), { cause: error });
    }
  }

  #request({ body, signal, idempotencyKey }: AnyParts): RequestInit {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (this.#token !== undefined) headers['authorization'] = `Bearer ${this.#token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    return {
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    };
  }
}

function fillPath(path: string, params: Readonly<Record<string, string>>): string {
  return path.replace(/:(\w+)/g, (_, name: string) => {
    const value = params[name] ?? '';
    // Anything else is no name, and "..", which URLs resolve away, would call another route.
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(value))
      throw new TypeError(`Not a valid ${name}: ${JSON.stringify(value)}`);
    return value;
  });
}

/** A flag that is not set is left out, like a value that is not given. */
function queryString(query: QueryValues): string {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== false) values.set(name, String(value));
  return values.size === 0 ? '' : `?${values.toString()}`;
}

function readAnswer(status: number, headers: Headers, text: string): unknown {
  const isJson = headers.get('content-type')?.startsWith('application/json') === true;
  if (status >= 200 && status < 300) {
    if (isJson) return JSON.parse(text);
    return text === '' ? undefined : text;
  }
  const requestId = headers.get('x-request-id') ?? undefined;
  const failure: unknown = isJson ? JSON.parse(text) : undefined;
  if (!isRecord(failure) || typeof failure['error'] !== 'string' || !isErrorCode(failure['code'])) {
    throw new BoughApiError(`Unexpected answer with status ${status}`, {
      status,
      code: 'unexpected_answer',
      requestId,
    });
  }
  const details = isRecord(failure['details']) ? failure['details'] : undefined;
  throw new BoughApiError(failure['error'], { status, code: failure['code'], details, requestId });
}

function transportProblem(error: unknown): string {
  const cause = error instanceof Error && isRecord(error.cause) ? error.cause : {};
  if (cause['code'] === 'UND_ERR_HEADERS_TIMEOUT') {
    return 'this client waits 300 seconds for an answer; the daemon may still be working on it';
  }
  if (cause['code'] === 'ECONNREFUSED') return 'nothing listens there';
  if (typeof cause['message'] === 'string') return cause['message'];
  return error instanceof Error ? error.message : String(error);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
