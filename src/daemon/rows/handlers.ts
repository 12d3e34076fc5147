/**
 * What the handler of a row is: a function of what is asked and of the call.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { WebSocket } from 'ws';
import type {
  BodyOf,
  JsonRoute,
  ParamsOf,
  QueryOf,
  ReplyOf,
  RouteDefinition,
  RouteName,
  Routes,
  RouteTable,
  SocketRoute,
  StreamRoute,
} from '../../contract/index.js';
import type { CallContext } from '../../sandbox/host/call.js';

interface Asked<R extends RouteDefinition> {
  readonly params: ParamsOf<R>;
  readonly query: QueryOf<R>;
}

interface AskedInJson<R extends JsonRoute> extends Asked<R> {
  readonly body: BodyOf<R>;
  /** Answers with `status` instead of the first one the row lists. */
  readonly answerWith: (status: number) => void;
  /** The content type of a stream that the row lists and the request asks for; without one the answer is JSON. */
  readonly streamType: string | undefined;
  /** Adds a header that the row lists to the answer. */
  readonly addHeader: (name: string, value: string) => void;
}

interface AskedInBytes<R extends StreamRoute> extends Asked<R> {
  readonly headers: IncomingHttpHeaders;
  /** Empty where there is none. The client is read from as fast as this is. */
  readonly body: AsyncIterable<Buffer>;
}

interface AskedForSocket<R extends SocketRoute> extends Asked<R> {
  readonly socket: WebSocket;
}

/** An answer that is JSON already: the reply its route lists, in pieces. */
export class JsonBytes {
  readonly bytes: Buffer;

  constructor(pieces: readonly Buffer[]) {
    this.bytes = Buffer.concat(pieces);
  }
}

/** An answer of a json row that was asked for a stream of this type; also one of a stream row. */
export class StreamReply {
  readonly type: string;
  readonly bytes: AsyncIterable<Uint8Array>;

  constructor(type: string, bytes: AsyncIterable<Uint8Array>) {
    this.type = type;
    this.bytes = bytes;
  }
}

/** An answer in bytes, under the content type that the row lists for its status. */
export interface StreamAnswer {
  /** The first one the row lists by default. */
  readonly status?: number;
  /** One of the types that the row lists for the status; by default the first. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ids and tags of what it has made. */
  readonly made?: readonly string[];
  /** Read as fast as the client reads, until the call's signal fires. */
  readonly bytes?: AsyncIterable<Uint8Array>;
}

type JsonHandler<R extends JsonRoute> = (
  asked: AskedInJson<R>,
  call: CallContext,
) => JsonAnswer<R> | Promise<JsonAnswer<R>>;

type JsonAnswer<R extends JsonRoute> = ReplyOf<R> | JsonBytes | StreamReply;

type StreamHandler<R extends StreamRoute> = (
  asked: AskedInBytes<R>,
  call: CallContext,
) => StreamAnswer | Promise<StreamAnswer>;

/** The socket is closed when it resolves. */
type SocketHandler<R extends SocketRoute> = (asked: AskedForSocket<R>, call: CallContext) => Promise<void>;

export type HandlerOf<R extends RouteDefinition> = R extends JsonRoute
  ? JsonHandler<R>
  : R extends StreamRoute
    ? StreamHandler<R>
    : R extends SocketRoute
      ? SocketHandler<R>
      : never;

/** One handler for each row of a table. */
export type HandlersOf<T extends RouteTable> = { readonly [N in keyof T]: HandlerOf<T[N]> };

export type Handlers = HandlersOf<Routes>;
export type Handler<N extends RouteName> = Handlers[N];
