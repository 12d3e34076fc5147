/**
 * Rows of kind `socket`: WebSockets. Everything up to the upgrade is as for any other row: what may not pass is answered over HTTP.
 *
 * Not handled: pings. A peer that vanished without a word is there until TCP says so.
 */
import type {} from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BoughError, isBoughError, type SocketRoute } from '../../contract/index.js';
import type { Shell } from '../shell/shell.js';
import { askedOf, contextOf, type AskedOfAny } from './asked.js';

/** Any socket row's; the table ties a row to the types of its handler. */
export type AnySocketHandler = (asked: never, call: never) => Promise<void>;

/** Time for a peer to say goodbye. */
const goodbyeMs = 1_000;

export function bindSocket(
  app: FastifyInstance,
  { calls }: Shell,
  route: SocketRoute,
  handler: AnySocketHandler,
): void {
  const askedBy = new WeakMap<FastifyRequest, AskedOfAny>();
  app.route({
    method: 'GET',
    url: route.path,
    config: { route },
    exposeHeadRoute: false,
    handler: () => {
      throw new BoughError('malformed_http', { problem: 'it does not ask for a WebSocket' });
    },
    preHandler: async (request, reply) => {
      askedBy.set(request, askedOf(route, request));
      if (request.ws) reply.code(101);
    },
    // Nobody reads any more from a connection that was handed over and refused.
    onResponse: ({ raw }, _reply, done) => {
      if (raw.headers.upgrade !== undefined) raw.socket.destroySoon();
      done();
    },
    wsHandler: (socket, request) => {
      const call = (request.call = calls.begin('socket', { revoked: request.revoked }));
      socket.once('close', () => {
        call.clientLeft();
        calls.end(call);
      });
      const close = (status: number, reason = ''): void => {
        call.answered();
        socket.close(status, reason);
        setTimeout(() => socket.terminate(), goodbyeMs).unref();
      };
      const onAbort = (): void => {
        const { reason } = call.signal as { reason: unknown };
        if (isBoughError(reason, 'token_revoked')) close(1011, reason.code);
        else close(1001);
      };
      call.signal.addEventListener('abort', onAbort);
      if (call.signal.aborted) onAbort();
      const asked = { ...askedBy.get(request), socket };
      void handler(asked as never, contextOf(request, call.signal) as never).then(
        () => close(1000),
        (error: unknown) => {
          // What fails because its client left, or the daemon stops, is not a failure.
          request.log[call.signal.aborted ? 'debug' : 'error']({ err: error }, 'a socket failed');
          close(1011, isBoughError(error) ? error.code : 'internal');
        },
      );
    },
  });
}
