/**
 * The HTTP server around the APIs: one port, limits, request ids, the count of calls, an end. It knows no route.
 *
 * Each API is a context of its own, with its hooks, parsers, routes and shape of failures, so that none sees another's. What matches no
 * route is answered by the API under whose prefix it is; the API with the prefix '' answers for whatever is nobody else's, requests
 * included of which so little arrived that they have no path.
 *
 *   Node's limits → shutting down? → the API: who may call → body → validation → handler
 */
import fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  BoughError,
  isBoughError,
  type CallEffects,
  type CallOutcome,
  type Events,
  type RouteDefinition,
} from '../../contract/index.js';
import type { Principal } from '../../sandbox/host/call.js';
import { TLS_OPTIONS, type Certificate } from '../certificate.js';
import { subjectIn } from './about.js';
import { RunningCalls, type RunningCall } from './calls.js';
import { parserFailureSender, sendFailure, type Refusal } from './failure.js';
import { limits as usual, type Limits } from './limits.js';
import { handleUnknownRoutes } from './not-found.js';
import { newRequestId } from './request-id.js';
import { tellWhatIsUnderWay } from './under-way.js';

export interface Api {
  /** Such as `/v1`; every path below one is this API's. */
  readonly prefixes: readonly string[];
  /** A failure in this API's shape. */
  readonly refusal: Refusal;
  /** The URL under which it answers a request that is its own; by default every one below its prefixes is, under the URL it has. */
  readonly claimedUrl?: (request: IncomingMessage) => string | undefined;
  /** Adds hooks, parsers and routes to the API's own context. */
  readonly register: (app: FastifyInstance, shell: Shell) => void | Promise<void>;
}

export interface ShellOptions {
  readonly log: FastifyBaseLogger;
  readonly events: Events;
  readonly apis: readonly Api[];
  readonly limits?: Limits | undefined;
  /** Plain HTTP without. */
  readonly certificate?: Certificate | undefined;
}

/** A connection that is to be something else than HTTP, if whoever is asked agrees. */
export interface Upgrade {
  readonly socket: Duplex;
  /** What came behind the request. */
  readonly head: Buffer;
}

export interface Shell {
  /** Not listening yet. */
  readonly app: FastifyInstance;
  readonly calls: RunningCalls;
  readonly limits: Limits;
  /** True where an API claims a request, and with it what it is upgraded to. */
  readonly isClaimed: (request: IncomingMessage) => boolean;
  /** Of claimed requests that ask for one. */
  readonly upgrades: WeakMap<IncomingMessage, Upgrade>;
  /** From now on every new request is answered with `shutting_down`. */
  readonly refuseNewRequests: () => void;
}

/** A server with every route of `apis`. */
export function buildShell({ log, events, apis, limits = usual, certificate }: ShellOptions): Shell {
  const claimed = (request: IncomingMessage): string | undefined =>
    apis.map(({ claimedUrl }) => claimedUrl?.(request)).find((url) => url !== undefined);
  const refusalFor = (path: string): Refusal => apiOf(apis, path).refusal;
  const app = createApp(log, limits, { claimed, refusalFor, certificate });
  let isClosing = false;
  const calls = new RunningCalls();
  const shell: Shell = {
    ...{ app, calls, limits, upgrades: new WeakMap() },
    isClaimed: (request) => claimed(request) !== undefined,
    refuseNewRequests: () => (isClosing = true),
  };

  app.decorateRequest<Principal>('principal', 'anonymous');
  app.decorateRequest('mayChange', false);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    void reply.header('cache-control', 'no-store');
    if (isClosing) throw new BoughError('shutting_down');
  });
  tellOfRequests(app, events);
  endUnreadBodies(app, limits.bodyTimeoutMs);
  tellWhatIsUnderWay(app, limits.processingMs);

  for (const api of apis) {
    void app.register(async (own) => {
      own.setErrorHandler((error, request, reply) => sendFailure(api.refusal, error, request, reply));
      handleUnknownRoutes(own, api.prefixes);
      await api.register(own, shell);
    });
  }
  return shell;
}

/** The one with the longest prefix of `path`. */
function apiOf(apis: readonly Api[], path: string): Api {
  const prefixOf = (api: Api): number =>
    Math.max(...api.prefixes.map((prefix) => (isBelow(path, prefix) ? prefix.length : -1)));
  return apis.reduce((best, api) => (prefixOf(api) > prefixOf(best) ? api : best));
}

const isBelow = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) && ['', '/', '?'].includes(path.charAt(prefix.length) || '');

/**
 * For APIs that set none. Fastify's own load a compiler of JSON schemas into every daemon that starts; here the rows check requests
 * against the route table, so a schema that asks for that compiler is a mistake.
 */
const ownCompilers = {
  buildValidator: () => () => {
    throw new TypeError('Requests are checked by the rows of the route table');
  },
  buildSerializer: () => () => JSON.stringify,
};

function createApp(
  log: FastifyBaseLogger,
  limits: Limits,
  {
    claimed,
    refusalFor,
    certificate,
  }: {
    readonly claimed: (request: IncomingMessage) => string | undefined;
    readonly refusalFor: (path: string) => Refusal;
    readonly certificate: Certificate | undefined;
  },
): FastifyInstance {
  const http = {
    headersTimeout: limits.headersTimeoutMs,
    connectionsCheckingInterval: limits.connectionCheckIntervalMs,
    maxHeaderSize: limits.maxHeaderBytes,
    // Node would answer a missing Host header without a body.
    requireHostHeader: false,
  };
  const app = fastify({
    loggerInstance: log,
    rewriteUrl: (request) => claimed(request) ?? request.url ?? '',
    // An event tells of each request, with the route instead of the URL.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: newRequestId,
    requestIdHeader: false,
    bodyLimit: limits.bodyLimitBytes,
    // One limit for all would end slow uploads; each kind of row has its own.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    routerOptions: { maxParamLength: limits.maxParamLength },
    schemaController: { compilersFactory: ownCompilers },
    ...(certificate === undefined
      ? { http }
      : {
          https: {
            ...http,
            ...TLS_OPTIONS,
            cert: certificate.cert,
            key: certificate.key,
            handshakeTimeout: limits.headersTimeoutMs,
          },
        }),
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    frameworkErrors: (error, request, reply) => {
      // No hook runs here, and from a connection that was handed over nobody reads any more.
      if (request.raw.headers.upgrade !== undefined)
        reply.raw.once('finish', () => request.raw.socket.destroySoon());
      void sendFailure(refusalFor(request.url), error, request, reply);
    },
    clientErrorHandler: parserFailureSender(refusalFor('')),
  });
  // Node would refuse, without a body, whoever expects something it does not know of; here nobody has to.
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  app.server.maxHeadersCount = limits.maxHeaderCount;
  app.server.maxConnections = limits.maxConnections;
  return app;
}

function tellOfRequests(app: FastifyInstance, events: Events): void {
  app.addHook('onError', async (_request, _reply, error) => {
    events.emit('call.failed', { code: isBoughError(error) ? error.code : error.code || 'internal' });
  });
  const tell = (request: FastifyRequest, reply: FastifyReply, outcome: CallOutcome): void => {
    const { kind } = request.routeOptions.config.route ?? {};
    events.emit('call.answered', {
      requestId: request.id,
      principal: request.principal,
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      kind: kind ?? 'none',
      outcome: request.call?.outcome ?? outcome,
      status: reply.statusCode,
      durationMs: reply.elapsedTime,
      mayChange: request.mayChange,
      about: { ...subjectIn(request.params), ...request.effects },
    });
  };
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) tell(request, reply, 'left');
    });
  });
  app.addHook('onResponse', async (request, reply) => tell(request, reply, 'answered'));
}

/** Nobody reads a body any more once its request is answered; without this the rest could come for ever. */
function endUnreadBodies(app: FastifyInstance, timeoutMs: number): void {
  const endUnlessRead = (raw: IncomingMessage): void => {
    if (!raw.complete) raw.socket.destroy();
  };
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    if (!raw.complete) setTimeout(endUnlessRead, timeoutMs, raw).unref();
    done();
  });
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends it. */
    principal: Principal;
    /** Fires when who sends it may not call any more. */
    revoked?: AbortSignal;
    /** Whoever sends it may call its route, or is told which token may; and the route is one of those that change something. */
    mayChange: boolean;
    /** What it did, once that is known. */
    effects?: CallEffects;
    /** Its handler, once that runs. */
    call?: RunningCall;
  }
  interface FastifyContextConfig {
    /** The route's row in its table; absent for what matches no route. */
    route?: RouteDefinition;
  }
}
