/** What every kind of row makes of a request: its validated parts, and the circumstances of the call. */
import type { FastifyRequest } from 'fastify';
import type { RouteDefinition } from '../../contract/index.js';
import type { CallContext } from '../../sandbox/host/call.js';
import { parseRequestPart } from './validation.js';

export interface AskedOfAny {
  readonly params: unknown;
  readonly query: unknown;
}

/** Throws `invalid_request`. */
export function askedOf(route: RouteDefinition, request: FastifyRequest): AskedOfAny {
  return {
    params: route.params && parseRequestPart(route.params, request.params, 'path'),
    query: route.query && parseRequestPart(route.query, request.query, 'query'),
  };
}

export function contextOf(request: FastifyRequest, signal: AbortSignal): CallContext {
  return { requestId: request.id, principal: request.principal, signal };
}
