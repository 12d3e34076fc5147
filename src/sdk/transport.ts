/**
 * One call over fetch: path parameters, query, JSON both ways, bytes either way, failures as errors. What a call takes and
 * gives is read off the route table, so that a route that is not there, or a body it does not take, does not
 * compile.
 *
 * The daemon is trusted to answer as the table says; answers are not validated again.
 *
 * A call that takes long is told to be under way every two minutes (`Prefer: processing`), because a fetch that hears nothing gives up,
 * Node's own after 300 seconds. Not handled: a proxy between that passes no such word on. It fails as `BoughUnreachable`, saying so, and
 * what was asked for may still happen.
 */

import { endpoints } from '../contract/v1/endpoints.js';
import type {
  BytesRouteName,
  JsonRouteName,
  PagedRouteName,
  RouteBodyInput,
  RouteName,
  RouteParams,
  RouteQuery,
  RouteReply,
  SocketRouteName,
  StreamRouteName,
} from '../contract/index.js';
import { chunksOf, refusalOf, transportProblem, valueOf } from './answers.js';
import { defaultUrl, fromEnvironment } from './environment.js';
import { BoughApiError, BoughUnreachable } from './errors.js';
import { openSocket, type OpenSocket, type SocketListener, type WebSocketLike } from './socket.js';
import { bodyOf, type Sendable, type StreamingInit } from './sendable.js';
import { fillPath, queryString, type PathValues, type QueryValues } from './target.js';

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
  /**
   * Opens a WebSocket, for `attach`, where there is no global one (Node 20): `(url, headers) => new WebSocket(url, { headers })` with
   * that of the package `ws`.
   */
  readonly webSocket?: OpenSocket | undefined;
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
  : B extends Record<string, never>
    ? { readonly body?: B }
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
export type CallParts<N extends RouteName> = CallOptions &
  ParamsPart<RouteParams<N>> &
  QueryPart<RouteQuery<N>> &
  BodyPart<RouteBodyInput<N>>;

type CallArguments<N extends RouteName> =
  Record<string, never> extends CallParts<N> ? [parts?: CallParts<N>] : [parts: CallParts<N>];

/** The parts of any route's call, as they are sent. */
interface AnyParts extends CallOptions {
  readonly params?: PathValues | undefined;
  readonly query?: QueryValues | undefined;
  readonly body?: unknown;
  readonly bytes?: Sendable;
}

/**
 * A part of a list, and where the next one begins.
 *
 * @example
 * ```ts
 * const page: Page<'listSnapshots'> = await bough.transport.page('listSnapshots', { query: { limit: 10 } });
 * console.log(page.items.length, page.next); // 1 undefined
 * ```
 */
export interface Page<N extends PagedRouteName> {
  /** What stands on it. */
  readonly items: RouteReply<N>;
  /** Give it as `after` for the next page; undefined on the last one. */
  readonly next: string | undefined;
}

/**
 * What `stream` gives: bytes as they come, and the headers of the answer.
 *
 * @example
 * ```ts
 * const bytes: ByteStream = await bough.transport.stream('exportSnapshot', '*\/*', { params: { tag: 'base' } });
 * console.log(Number(bytes.headers.get('content-length')) > 0); // true
 * ```
 */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  /** Such as `content-length`, where it is known. */
  readonly headers: Headers;
}

/**
 * Makes calls to one daemon, any route by its name in the [API](api.md). Never repeats one.
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
  readonly #openSocket: OpenSocket | undefined;

  constructor({ url, token, fetch: ownFetch, webSocket }: TransportOptions = {}) {
    this.url = (url ?? fromEnvironment('BOUGH_URL') ?? defaultUrl).replace(/\/+$/, '');
    this.#token = token ?? fromEnvironment('BOUGH_TOKEN');
    this.#fetch = ownFetch ?? globalThis.fetch.bind(globalThis);
    this.#openSocket = webSocket;
  }

  /**
   * Calls a route of the table that takes and gives JSON; resolves with its answer's body, with undefined for one that has none.
   *
   * @example
   * ```ts
   * const [sandbox] = await bough.transport.call('spawn', { body: { snapshot_tag: 'base' } });
   * console.log(sandbox?.state); // running
   * ```
   */
  call<N extends JsonRouteName>(route: N, ...parts: CallArguments<N>): Promise<RouteReply<N>>;
  async call(route: JsonRouteName, parts: AnyParts = {}): Promise<unknown> {
    return this.#read(parts, await this.#ask(route, parts));
  }

  /**
   * Calls a route whose answer is a list, for a page of it.
   *
   * @example
   * ```ts
   * await bough.spawnMany('base', 3);
   * const { items, next } = await bough.transport.page('listSandboxes', { query: { limit: 2 } });
   * console.log(items.length, next !== undefined); // 2 true
   * ```
   */
  page<N extends PagedRouteName>(route: N, ...parts: CallArguments<N>): Promise<Page<N>>;
  async page(
    route: PagedRouteName,
    parts: AnyParts = {},
  ): Promise<{ items: unknown; next: string | undefined }> {
    const response = await this.#ask(route, parts);
    const next = response.headers.get('x-next-after') ?? undefined;
    return { items: await this.#read(parts, response), next };
  }

  /**
   * Calls a route that can answer with a stream; resolves with its bytes once it is there. Who stops reading closes the connection.
   *
   * @example
   * ```ts
   * const log = await bough.transport.stream('events', 'application/x-ndjson', { query: { from: 'oldest' } });
   * for await (const bytes of log) {
   *   console.log(bytes.length > 0); // true
   *   break;
   * }
   * ```
   */
  stream<N extends StreamRouteName>(route: N, type: string, ...parts: CallArguments<N>): Promise<ByteStream>;
  async stream(route: StreamRouteName, type: string, parts: AnyParts = {}): Promise<ByteStream> {
    const response = await this.#ask(route, parts, type);
    const { headers } = response;
    return Object.assign(chunksOf(response, { url: this.url, signal: parts.signal }), { headers });
  }

  /**
   * Calls a route that takes bytes, as a whole or as they come; resolves with the headers of its answer.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { pid } = await bough.transport.call('startProcess', { params: { id }, body: { args: ['cat'], stdin: true } });
   * const bytes = new TextEncoder().encode('hello');
   * const headers = await bough.transport.send('processInput', bytes, { params: { id, pid } });
   * console.log(headers.get('bough-stdin-bytes')); // 5
   * ```
   */
  send<N extends BytesRouteName>(route: N, bytes: Sendable, ...parts: CallArguments<N>): Promise<Headers>;
  async send(route: BytesRouteName, bytes: Sendable, parts: AnyParts = {}): Promise<Headers> {
    const response = await this.#ask(route, { ...parts, bytes });
    await this.#read(parts, response);
    return response.headers;
  }

  /**
   * Opens a route that is a WebSocket. Rejects with TypeError where there is no such thing, see `TransportOptions`, and with
   * `BoughUnreachable` when it cannot be opened: why, a WebSocket does not tell.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { pid } = await bough.transport.call('startProcess', { params: { id }, body: { args: ['cat'] } });
   * const listener: SocketListener = { onMessage: () => undefined, onClose: () => undefined };
   * const socket = await bough.transport.socket('attachProcess', listener, { params: { id, pid } });
   * socket.close();
   * ```
   */
  socket<N extends SocketRouteName>(
    route: N,
    listener: SocketListener,
    ...parts: CallArguments<N>
  ): Promise<WebSocketLike>;
  async socket(
    route: SocketRouteName,
    listener: SocketListener,
    parts: AnyParts = {},
  ): Promise<WebSocketLike> {
    const target = this.#target(route, parts).replace(/^http/, 'ws');
    const headers = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
    const how = { target, headers, url: this.url, signal: parts.signal };
    return openSocket(how, listener, this.#openSocket);
  }

  /**
   * Asks a program that serves HTTP on a port of a sandbox; resolves with its answer, or the daemon's that there is none. The token is not
   * shown to it, and redirects, which may lead anywhere, are answers.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const answer = await bough.transport.fetchPort({ id, port: 1 }, '/');
   * console.log(answer.status, (await answer.json()).code); // 502 port_unreachable
   * ```
   */
  async fetchPort(
    { id, port }: { readonly id: string; readonly port: number },
    path: string,
    init: RequestInit = {},
  ): Promise<Response> {
    const headers = new Headers(init.headers);
    // In the path a `..` of the caller's could lead to another sandbox, or to a route of the daemon.
    const place = fillPath('/s/:id/p/:port', { id, port }).split('/');
    headers.set('bough-sandbox', place[2] ?? '');
    headers.set('bough-port', place[4] ?? '');
    if (this.#token !== undefined) headers.set('bough-authorization', `Bearer ${this.#token}`);
    const { signal } = init;
    const asked = this.#fetch(this.url + (path.startsWith('/') ? path : `/${path}`), {
      ...init,
      headers,
      redirect: 'manual',
    });
    return this.#reaching(signal ? { signal } : {}, asked);
  }

  /** The answer to a call, if it is a success. */
  async #ask(route: RouteName, parts: AnyParts, accept = 'application/json'): Promise<Response> {
    const target = this.#target(route, parts);
    const init = { method: endpoints[route].method, ...(await this.#request(parts, accept)) };
    const response = await this.#reaching(parts, this.#fetch(target, init));
    if (response.ok) return response;
    throw await this.#reaching(parts, refusalOf(response));
  }

  #read(parts: AnyParts, response: Response): Promise<unknown> {
    return this.#reaching(parts, valueOf(response));
  }

  /** What `work` resolves with; what keeps it from the daemon is BoughUnreachable. */
  async #reaching<T>({ signal }: AnyParts, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof BoughApiError || signal?.aborted === true) throw error;
      throw new BoughUnreachable(this.url, transportProblem(error), { cause: error });
    }
  }

  #target(route: RouteName, { params, query }: AnyParts): string {
    return this.url + fillPath(endpoints[route].path, params ?? {}) + queryString(query ?? {});
  }

  async #request({ body, bytes, signal, idempotencyKey }: AnyParts, accept: string): Promise<StreamingInit> {
    // Or a fetch that hears nothing gives up, Node's after 300 seconds.
    const headers: Record<string, string> = { accept, prefer: 'processing' };
    if (this.#token !== undefined) headers['authorization'] = `Bearer ${this.#token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (bytes !== undefined) headers['content-type'] = 'application/octet-stream';
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    const asJson = body === undefined ? undefined : JSON.stringify(body);
    return {
      headers,
      ...(bytes === undefined ? {} : await bodyOf(bytes)),
      ...(asJson === undefined ? {} : { body: asJson }),
      ...(signal === undefined ? {} : { signal }),
    };
  }
}
