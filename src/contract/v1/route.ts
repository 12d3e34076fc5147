/**
 * A row of the route table: the one description of a route from which the server registers it, the SDK takes its types and
 * docs/reference is generated. A resource's rows stand beside its schemas; routes.ts gathers them.
 *
 * Methods and paths are in endpoints.ts. `replies` maps each success status to its body; `null` is no body and `'text'` is plain
 * text. `errors` lists what the route itself can fail with; what any route can fail with is in `commonErrors`.
 */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { tagSchema } from '../fields.js';
import type { Endpoint } from './endpoints.js';

export interface RouteDefinition extends Endpoint {
  readonly summary: string;
  readonly resource: 'daemon' | 'snapshots' | 'sandboxes';
  /** True for a route that needs no token. */
  readonly open?: boolean;
  /** True for a route that makes something, and takes an `Idempotency-Key`; it can fail with `keyedErrors` besides. */
  readonly keyed?: boolean;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  /** A route without one ignores any body. An absent body is validated as `{}`. */
  readonly body?: z.ZodType;
  readonly replies: Readonly<Record<number, z.ZodType | 'text' | null>>;
  readonly errors: readonly ErrorCode[];
  /** Codes that this route answers with another status than the catalogue's. */
  readonly statusFor?: Partial<Record<ErrorCode, number>>;
}

/** What any route but an open one can fail with. */
export const commonErrors = [
  'malformed_json',
  'malformed_http',
  'unauthorized',
  'host_not_allowed',
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

/** Path parameters of a snapshot's routes. */
export const byTag = z.object({ tag: tagSchema });

/** Path parameters of a sandbox's routes. Any text that is not a known id is simply not found. */
export const byId = z.object({ id: z.string() });

/** The HTTP status of a code when `route` fails with it. */
export function statusOf(
  error: { code: ErrorCode; status: number },
  route: RouteDefinition | undefined,
): number {
  return route?.statusFor?.[error.code] ?? error.status;
}
