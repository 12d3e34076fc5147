/**
 * Rows of kind `stream`: body and answer are bytes of any length, and neither side is read faster than the other side writes.
 *
 * No limit holds for the whole, which may take hours; a client may only not leave a handler that waits for its next bytes waiting for
 * too long. A handler that fails once the answer has begun ends the connection, which the client sees as an answer without an end.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { addAbortSignal, finished, Readable } from 'node:stream';
import { BoughError, type StreamRoute } from '../../contract/index.js';
import type { Shell } from '../shell/shell.js';
import { askedOf, contextOf } from './asked.js';
import type { StreamAnswer } from './handlers.js';

/** Any stream row's; the table ties a row to the types of its handler. */
export type AnyStreamHandler = (asked: never, call: never) => StreamAnswer | Promise<StreamAnswer>;

export function bindStream(
  app: FastifyInstance,
  { calls, limits }: Shell,
  route: StreamRoute,
  handler: AnyStreamHandler,
): void {
  const defaultStatus = Number(Object.keys(route.replies)[0]);
  app.route({
    method: route.method,
    url: route.path,
    config: { route },
    // Would run the GET, and read all it has to say.
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const { revoked } = request;
      const call = (request.call = calls.begin('stream', { endless: route.endless === true, revoked }));
      finished(reply.raw, () => {
        if (!reply.raw.writableFinished) call.clientLeft();
        calls.end(call);
      });
      call.signal.throwIfAborted();
      const body = bytesOf(request.body as Readable | undefined, limits.bodyTimeoutMs);
      const asked = { ...askedOf(route, request), headers: request.headers, body };
      const answer = await handler(asked as never, contextOf(request, call.signal) as never);
      const { status = defaultStatus, headers = {}, made, bytes } = answer;
      if (made !== undefined) request.effects = { made };
      const type = answer.type ?? [route.replies[status]].flat()[0];
      void reply.code(status).headers(headers);
      if (type !== null && type !== undefined) void reply.type(type);
      if (bytes === undefined) return reply.send();
      return sendBytes(reply, bytes, call.cut);
    },
  });
}

/** Sends bytes as fast as the client takes them, until the signal fires. */
export function sendBytes(
  reply: FastifyReply,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): FastifyReply {
  return reply.send(addAbortSignal(signal, Readable.from(bytes, { objectMode: false })));
}

/** Makes this context hand on bodies of whatever type, unread. */
export function passBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, body, done) => done(null, body));
}

/** A body. Ends with `request_timeout` when nothing comes for `idleMs` although it is waited for. */
export async function* bytesOf(body: Readable | undefined, idleMs: number): AsyncGenerator<Buffer> {
  // A handler that has read enough still wants to answer.
  const pieces = body?.iterator({ destroyOnReturn: false });
  for (;;) {
    const piece = await within(idleMs, pieces?.next());
    if (piece === undefined || piece.done === true) return;
    yield piece.value as Buffer;
  }
}

async function within<T>(timeoutMs: number, work: Promise<T> | undefined): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new BoughError('request_timeout')), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
