/**
 * The HTTP server: the route table bound to handlers, behind the guard.
 *
 * Order of one request: Node's limits, shutting down?, Host header, token, body, validation, handler. Whatever
 * fails on the way is answered by failure.ts.
 */

import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import {
  BoughError,
  isBoughError,
  routes,
  type Events,
  type RouteDefinition,
  type RouteName,
} from '../contract/index.js';
import type { CallContext, Principal } from '../sandbox/host/call.js';
import type { Host } from '../sandbox/host/host.js';
import { JsonBytes, RunningCalls, type Handlers } from './calls.js';
import type { ListenAddress } from './config.js';
import { sendFailure, sendParserFailure } from './failure.js';
import { checkHostHeader, principalOf } from './guard.js';
import { inWireNames } from './v1/names.js';
import { branchHandlers } from './v1/branches.js';
import { daemonHandlers } from './v1/daemon.js';
import { sandboxHandlers } from './v1/sandboxes.js';
import { snapshotHandlers } from './v1/snapshots.js';
import * as limits from './limits.js';
import { Metrics } from './metrics.js';
import { handleUnknownRoutes } from './not-found.js';
import { newRequestId } from './request-id.js';
import { requestKey } from './request-key.js';
import type { TokenCheck } from './token.js';
import { parseRequestPart, withoutNullFields } from './validation.js';

export interface ServerOptions {
  readonly host: Host;
  readonly listen: ListenAddress;
  /** Absent when no token is configured: then every request may pass. */
  readonly isToken?: TokenCheck | undefined;
  readonly log: FastifyBaseLogger;
  /** Those of the host, to which the server's own are added. */
  readonly events: Events;
}

export interface Server {
  /** Not listening yet; more routes may be registered. */
  readonly app: FastifyInstance;
  readonly metrics: Metrics;
  readonly calls: RunningCalls;
  /** From now on every new request is answered with `shutting_down`. */
  readonly refuseNewRequests: () => void;
}

/** Builds the server with every route of the table. */
export function buildServer({ host, listen, isToken, log, events }: ServerOptions): Server {
  const app = createApp(log);
  const metrics = new Metrics(() => host.gauges());
  events.subscribe((event) => metrics.observe(event));
  const calls = new RunningCalls();
  let isClosing = false;

  app.decorateRequest<Principal>('principal', 'anonymous');
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    void reply.header('cache-control', 'no-store');
    if (isClosing) throw new BoughError('shutting_down');
    checkHostHeader(request.headers, listen);
    if (request.routeOptions.config.route?.open !== true) {
      request.principal = principalOf(request.headers, isToken);
    }
  });
  app.addHook('onError', async (_request, _reply, error) => {
    events.emit('call.failed', { code: isBoughError(error) ? error.code : error.code || 'internal' });
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    events.emit('call.answered', {
      requestId: request.id,
      principal: request.principal,
      method: request.method,
      route,
      status: reply.statusCode,
      durationMs: reply.elapsedTime,
    });
  });

  handleUnknownRoutes(app);
  bindRoutes(app, calls, {
    ...daemonHandlers(host, metrics),
    ...snapshotHandlers(host),
    ...sandboxHandlers(host),
    ...branchHandlers(host),
  });
  return { app, metrics, calls, refuseNewRequests: () => (isClosing = true) };
}

function createApp(log: FastifyBaseLogger): FastifyInstance {
  const app = fastify({
    loggerInstance: log,
    // One line a request is written below, with the route instead of the URL.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: newRequestId,
    requestIdHeader: false,
    requestIdLogLabel: 'requestId',
    bodyLimit: limits.bodyLimitBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    routerOptions: { maxParamLength: limits.maxParamLength },
    http: {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.connectionCheckIntervalMs,
      maxHeaderSize: limits.maxHeaderBytes,
      // Node would answer a missing Host header without a body.
      requireHostHeader: false,
    },
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    frameworkErrors: (error, request, reply) => void sendFailure(error, request, reply),
    clientErrorHandler: sendParserFailure,
  });
  app.server.maxHeadersCount = limits.maxHeaderCount;
  app.server.maxConnections = limits.maxConnections;

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

  app.setErrorHandler(sendFailure);
  app.setSerializerCompiler(serializerCompiler);
  return app;
}

function bindRoutes(app: FastifyInstance, calls: RunningCalls, handlers: Handlers): void {
  for (const name of Object.keys(routes) as RouteName[]) bindRoute(app, calls, routes[name], name, handlers);
}

function bindRoute(
  app: FastifyInstance,
  calls: RunningCalls,
  route: RouteDefinition,
  name: RouteName,
  handlers: Handlers,
): void {
  // The table ties a name to its handler's types; one loop over all names cannot know which it holds.
  const handler = handlers[name] as (asked: unknown, call: CallContext) => unknown;
  const defaultStatus = Number(Object.keys(route.replies)[0]);
  const replySchemas = Object.entries(route.replies).filter(([, body]) => body !== null && body !== 'text');
  app.route({
    method: route.method,
    url: route.path,
    config: { route },
    schema: { response: Object.fromEntries(replySchemas) },
    handler: (request, reply) =>
      calls.run(reply, async (signal) => {
        const asked = {
          params: route.params && parseRequestPart(route.params, request.params, 'path'),
          query: route.query && parseRequestPart(route.query, request.query, 'query'),
          body: route.body && parseRequestPart(route.body, withoutNullFields(request.body), 'body'),
        };
        const call: CallContext = {
          requestId: request.id,
          principal: request.principal,
          signal,
          key: route.keyed === true ? requestKey(request.headers, name, asked) : undefined,
        };
        reply.code(defaultStatus);
        const answerWith = (status: number): void => void reply.code(status);
        const body = await Promise.resolve(handler({ ...asked, answerWith }, call)).catch(
          (error: unknown) => {
            throw inWireNames(error);
          },
        );
        if (route.replies[defaultStatus] === 'text')
          void reply.type('text/plain; version=0.0.4; charset=utf-8');
        if (!(body instanceof JsonBytes)) return reply.send(body);
        return reply.type('application/json; charset=utf-8').send(body.bytes);
      }),
  });
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends it. */
    principal: Principal;
  }
}
