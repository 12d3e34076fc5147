/** Rows of kind `json`: a bounded body in bounded time, validated; an answer as a whole. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BoughError, type JsonRoute } from '../../contract/index.js';
import type { Limits } from '../shell/limits.js';
import { effectsIn } from '../shell/about.js';
import type { Shell } from '../shell/shell.js';
import { askedOf, contextOf } from './asked.js';
import { finished } from 'node:stream';
import { acceptedOf } from './accepted.js';
import { JsonBytes, StreamReply } from './handlers.js';
import { sendBytes } from './stream.js';
import { requestKey } from './request-key.js';
import { parseRequestPart, withoutNullFields } from './validation.js';

/** Any json row's; the table ties a row to the types of its handler. */
export type AnyJsonHandler = (asked: never, call: never) => unknown;

export function bindJson(
  app: FastifyInstance,
  { calls }: Shell,
  [name, route]: readonly [string, JsonRoute],
  handler: AnyJsonHandler,
): void {
  const defaultStatus = Number(Object.keys(route.replies)[0]);
  const replySchemas = Object.entries(route.replies).filter(([, body]) => body !== null && body !== 'text');
  app.route({
    method: route.method,
    url: route.path,
    config: { route },
    schema: { response: Object.fromEntries(replySchemas) },
    handler: async (request, reply) => {
      const call = (request.call = calls.begin('json', { revoked: request.revoked }));
      let isOver = true;
      finished(reply.raw, () => {
        if (!reply.raw.writableFinished) call.clientLeft();
        if (!isOver) calls.end(call);
      });
      try {
        call.signal.throwIfAborted();
        const asked = {
          ...askedOf(route, request),
          body: route.body && parseRequestPart(route.body, withoutNullFields(request.body), 'body'),
          streamType: acceptedOf(route.streams, request.headers.accept),
        };
        const key = route.keyed === true ? requestKey(request.headers, name, asked) : undefined;
        reply.code(defaultStatus);
        const answerWith = (status: number): void => void reply.code(status);
        const addHeader = (header: string, value: string): void => void reply.header(header, value);
        const context = { ...contextOf(request, call.signal), key };
        const body = await handler({ ...asked, answerWith, addHeader } as never, context as never);
        if (body instanceof StreamReply) {
          isOver = false;
          return await sendBytes(reply.code(200).type(body.type), body.bytes, call.cut);
        }
        if (route.replies[defaultStatus] === 'text')
          void reply.type('text/plain; version=0.0.4; charset=utf-8');
        request.effects = effectsIn(route, body);
        sendJson(reply, body);
      } finally {
        if (isOver) calls.end(call);
      }
    },
  });
}

function sendJson(reply: FastifyReply, body: unknown): void {
  if (!(body instanceof JsonBytes)) void reply.send(body);
  else void reply.type('application/json; charset=utf-8').send(body.bytes);
}

/** Makes JSON the one kind of body this context reads, whole and in time. */
export function readJsonBodies(app: FastifyInstance, { bodyTimeoutMs }: Limits): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') {
      done(null, undefined);
      return;
    }
    void parseJson(request, text as string, (error, body) => {
      if (error) done(new BoughError('malformed_json', undefined, { cause: error }));
      else done(null, body);
    });
  });

  app.addHook('preParsing', async (request, reply) => {
    if (request.raw.complete || request.routeOptions.config.route?.kind === 'stream') return;
    request.bodyTimer = setTimeout(() => void reply.send(new BoughError('request_timeout')), bodyTimeoutMs);
  });
  const stopTimer = (request: FastifyRequest, done: () => void): void => {
    clearTimeout(request.bodyTimer);
    done();
  };
  app.addHook('preValidation', (request, _reply, done) => stopTimer(request, done));
  app.addHook('onResponse', (request, _reply, done) => stopTimer(request, done));
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Runs out when a JSON body takes too long. */
    bodyTimer?: NodeJS.Timeout;
  }
}
