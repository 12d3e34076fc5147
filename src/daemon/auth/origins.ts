/**
 * Pages of other origins that may call: none, or those the configuration names. A browser asks before it sends what a page could not send
 * otherwise, without a token and with nothing to be validated, so that is answered before anything else is looked at.
 *
 * Not handled: cookies. The daemon has none, so no answer says that a browser may send any.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

export type AllowedOrigins = ReadonlySet<string>;

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';
/** Browsers cap it at two hours or less. */
const ASK_AGAIN_SECS = 600;

/** Lets such a page read the answer. True when its browser has only asked whether it may, and has been answered. */
export function greetPage(
  { method, headers }: FastifyRequest,
  reply: FastifyReply,
  allowed: AllowedOrigins,
): boolean {
  const { origin } = headers;
  if (origin === undefined || !allowed.has(origin)) return false;
  void reply.headers({
    'access-control-allow-origin': origin,
    'access-control-expose-headers': '*',
    vary: 'Origin',
  });
  if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
  void reply
    .headers({
      'access-control-allow-methods': METHODS,
      // Not `*`: that leaves out Authorization.
      'access-control-allow-headers': headers['access-control-request-headers'] ?? '',
      'access-control-max-age': String(ASK_AGAIN_SECS),
    })
    .code(204)
    .send();
  return true;
}
