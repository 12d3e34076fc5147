/**
 * A row of the route table: the one description of a route from which the server registers it, the SDK takes its types and
 * docs/reference is generated. A resource's rows stand beside its schemas; routes.ts gathers them.
 *
 *   json    what is asked is validated, the answer is JSON or text
 *   stream  the body and the answer are bytes, passed on as they come, of any length
 *   socket  a WebSocket, open until one side ends it
 *
 * Methods and paths are in endpoints.ts. `errors` lists what the route itself can fail with; what any route can fail with is in
 * `commonErrors`.
 */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { numberTextSchema, tagSchema } from '../fields.js';
import type { Endpoint } from './endpoints.js';
import type { pageHeaders } from './lists.js';
import type { Scope } from './scopes.js';

interface AnyRoute extends Endpoint {
  readonly summary: string;
  /** What a token has to be for. `read` changes nothing, and tells nothing of what is inside a guest. */
  readonly scope: Scope;
  readonly resource: 'daemon' | 'snapshots' | 'sandboxes' | 'processes' | 'files' | 'secrets';
  /** True for a route that needs no token. */
  readonly open?: boolean;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly errors: readonly ErrorCode[];
  /** Codes that this route answers with another status than the catalogue's. */
  readonly statusFor?: Partial<Record<ErrorCode, number>>;
}

export interface JsonRoute extends AnyRoute {
  readonly kind: 'json';
  /** True for a route that makes something, and takes an `Idempotency-Key`; it can fail with `keyedErrors` besides. */
  readonly keyed?: boolean;
  /** A route without one ignores any body. An absent body is validated as `{}`. */
  readonly body?: z.ZodType;
  /** For each success status the body; `null` is none, `'text'` is plain text. */
  readonly replies: Readonly<Record<number, z.ZodType | 'text' | null>>;
  /** Content types of a stream that answers instead, with 200, when the request's `Accept` names one. */
  readonly streams?: readonly string[];
  /** Headers that an answer may have besides, with what they say. */
  readonly replyHeaders?: Readonly<Record<string, string>>;
}

/** The first one is the default. */
export type StreamType = string | readonly [string, ...string[]];

export interface StreamRoute extends AnyRoute {
  readonly kind: 'stream';
  /** For each success status the content type, or those the handler chooses from; `null` is no body. */
  readonly replies: Readonly<Record<number, StreamType | null>>;
  /** True for one that goes on until its client leaves: it is ended as soon as the daemon stops. */
  readonly endless?: boolean;
}

export interface SocketRoute extends AnyRoute {
  readonly kind: 'socket';
  readonly method: 'GET';
}

export type RouteDefinition = JsonRoute | StreamRoute | SocketRoute;
export type RouteKind = RouteDefinition['kind'];

/** Rows by their names. */
export type RouteTable = Readonly<Record<string, RouteDefinition>>;

/** Names of rows that take and give JSON: those that can be called and answered as a whole. */
export type JsonNamesOf<T extends RouteTable> = {
  [N in keyof T]: T[N] extends JsonRoute ? N : never;
}[keyof T];

/** Names of rows that can answer with a stream. */
export type StreamNamesOf<T extends RouteTable> = {
  [N in keyof T]: T[N] extends StreamRoute | { readonly streams: readonly string[] } ? N : never;
}[keyof T];

/** Names of rows that are sent bytes to pass on. */
export type BytesNamesOf<T extends RouteTable> = {
  [N in keyof T]: T[N] extends StreamRoute & { readonly method: 'POST' | 'PUT' } ? N : never;
}[keyof T];

/** Names of rows that are WebSockets. */
export type SocketNamesOf<T extends RouteTable> = {
  [N in keyof T]: T[N] extends SocketRoute ? N : never;
}[keyof T];

/** Names of rows whose answer is a list that can come in pages. */
export type PagedNamesOf<T extends RouteTable> = {
  [N in keyof T]: T[N] extends { readonly replyHeaders: typeof pageHeaders } ? N : never;
}[keyof T];

/** A row's path parameters. */
export type ParamsOf<R extends RouteDefinition> = R extends { params: z.ZodType<infer P> } ? P : undefined;

/** A row's query as handlers get it. */
export type QueryOf<R extends RouteDefinition> = R extends { query: z.ZodType<infer Q> } ? Q : undefined;

/** A row's body as handlers get it: defaults filled in, older forms translated. */
export type BodyOf<R extends JsonRoute> = R extends { body: z.ZodType<infer B> } ? B : undefined;

type ReplyBody<R> = R extends z.ZodType ? z.output<R> : R extends 'text' ? string : undefined;

/** A row's answer; `undefined` for 204. */
export type ReplyOf<R extends JsonRoute> = ReplyBody<R['replies'][keyof R['replies']]>;

/** What any route but an open one can fail with. */
export const commonErrors = [
  'malformed_json',
  'malformed_http',
  'unauthorized',
  'token_revoked',
  'scope_missing',
  'host_not_allowed',
  'origin_not_allowed',
  'route_not_found',
  'method_not_allowed',
  'request_timeout',
  'payload_too_large',
  'unsupported_media_type',
  'headers_too_large',
  'too_many_open_files',
  'shutting_down',
  'internal',
] as const satisfies readonly ErrorCode[];

/** What any route that takes an `Idempotency-Key` can fail with. */
export const keyedErrors = [
  'invalid_request',
  'idempotency_key_reused',
] as const satisfies readonly ErrorCode[];

/** Whether a call of `route` can change anything; what a socket carries may do so. */
export function changes({ scope, kind, method }: RouteDefinition): boolean {
  return scope !== 'read' && (kind === 'socket' || (method !== 'GET' && method !== 'HEAD'));
}

/** Whether `route` is sent bytes to pass on. */
export function takesBytes({ kind, method }: RouteDefinition): boolean {
  return kind === 'stream' && (method === 'POST' || method === 'PUT');
}

/** What `route` itself can fail with. */
export function errorsOf(route: RouteDefinition): readonly ErrorCode[] {
  const isKeyed = route.kind === 'json' && route.keyed === true;
  return [...new Set([...route.errors, ...(isKeyed ? keyedErrors : [])])];
}

/** Path parameters of a snapshot's routes. */
export const byTag = z.object({ tag: tagSchema });

/** Path parameters of a sandbox's routes. Any text that is no known id or name is simply not found. */
export const byId = z.object({ id: z.string().describe('id or name of a sandbox') });

/** Path parameters of a process's routes. */
export const byPid = byId.extend({ pid: numberTextSchema.describe('process id in the guest') });

/** What any call into a guest can fail with. */
export const guestErrors = [
  'sandbox_not_found',
  'sandbox_not_running',
  'rollback_in_progress',
  'sandbox_rolled_back',
  'agent_unreachable',
  'agent_protocol',
  'agent_refused',
  'agent_deadline',
] as const satisfies readonly ErrorCode[];

/** The HTTP status of a code when `route` fails with it. */
export function statusOf(
  error: { code: ErrorCode; status: number },
  route: RouteDefinition | undefined,
): number {
  return route?.statusFor?.[error.code] ?? error.status;
}
