/**
 * Ports of sandboxes over HTTP: any method, any body, answers as they come, and whatever a request is upgraded to. Who may call is asked as
 * for the native API, and failures have its shape; that nobody listens on a port is answered at once.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream';
import type { PortConnection } from '../../agent/index.js';
import { abortReason } from '../../base/index.js';
import { BoughError, byPort, isBoughError } from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import type { CallContext } from '../../sandbox/host/call.js';
import { callerOf, checkHostHeader, checkOrigin, checkScope } from '../auth/guard.js';
import type { Keyring } from '../auth/keyring.js';
import { greetPage, type AllowedOrigins } from '../auth/origins.js';
import type { ListenAddress } from '../config.js';
import { contextOf } from '../rows/asked.js';
import { bytesOf, passBodies } from '../rows/stream.js';
import { parseRequestPart } from '../rows/validation.js';
import type { Api, Shell } from '../shell/shell.js';
import { knownForm } from '../v1/sandbox-id.js';
import { guestPath, PORT_PATH, portUrl, prefixOfHost } from './address.js';
import { bodyOf, forward } from './forward.js';
import { answerHeaders, isBrowser, OWN_AUTHORIZATION, requestHeaders, type Way } from './headers.js';
import { join, sendUpgrade } from './upgrade.js';

export interface PortsApiOptions {
  readonly host: Host;
  readonly listen: ListenAddress;
  readonly keyring: Keyring;
  readonly allowedOrigins: AllowedOrigins;
}

export function portsApi({ host, listen, keyring, allowedOrigins }: PortsApiOptions): Api {
  return {
    prefixes: ['/s'],
    claimedUrl: (request) => portUrl(request, listen.isLoopback),
    refusal: (failure) => ({
      status: failure.status,
      body: failure.toWire(),
      ...(failure.status === 401 ? { headers: { 'www-authenticate': 'Bearer' } } : {}),
    }),
    register: (app, shell) => {
      app.addHook('onRequest', (request, reply, done) => {
        const { headers } = request;
        // A name below localhost is this machine's as much as localhost is.
        if (prefixOfHost(headers, listen.isLoopback) === undefined) {
          checkHostHeader(headers, listen);
          // By host name it is the program that says who may call it.
          if (greetPage(request, reply, allowedOrigins)) return;
        }
        checkOrigin(headers, allowedOrigins);
        const authorization = [headers[OWN_AUTHORIZATION]].flat()[0] ?? headers.authorization;
        const caller = callerOf({ authorization }, keyring);
        request.principal = caller.principal;
        request.revoked = caller.revoked;
        request.mayChange = shell.upgrades.has(request.raw) || !harmless.has(request.method);
        checkScope(caller, 'exec');
        done();
      });
      passBodies(app);
      const handler = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
        const hasOwnOrigin = prefixOfHost(request.headers, listen.isLoopback) !== undefined;
        return handle({ host, shell, way: { isGuarded: keyring.isGuarded, hasOwnOrigin } }, request, reply);
      };
      for (const url of [PORT_PATH, `${PORT_PATH}/*`]) app.all(url, handler);
      endRefusedUpgrades(app, shell);
    },
  };
}

/** Methods that change nothing, by what HTTP says of them. */
const harmless = new Set(['GET', 'HEAD', 'OPTIONS']);

interface Served {
  readonly host: Host;
  readonly shell: Shell;
  readonly way: Way;
}

async function handle(served: Served, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { id, port } = parseRequestPart(byPort, request.params, 'path') as { id: string; port: number };
  const path = guestPath(request.url);
  if (path === undefined) return reply.redirect(request.url.replace(/^[^?]+/, '$&/'), 308);
  const which = { id: knownForm({ id }), port };
  return served.shell.upgrades.has(request.raw)
    ? passOn(served, { request, reply, which, path })
    : answerFrom(served, { request, reply, which, path });
}

interface Asked {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly which: { readonly id: string; readonly port: number };
  readonly path: string;
}

/** Resolves when the answer has begun; the connection is there until it has ended. */
async function answerFrom(
  { host, shell: { calls, limits }, way }: Served,
  { request, reply, which, path }: Asked,
): Promise<FastifyReply> {
  const call = (request.call = calls.begin('stream', { revoked: request.revoked }));
  const over = new Promise<void>((resolve) => {
    finished(reply.raw, () => {
      if (!reply.raw.writableFinished) call.clientLeft();
      calls.end(call);
      resolve();
    });
  });
  const headers = requestHeaders(request.headers, way);
  const { method } = request;
  const sent = bytesOf(request.raw, limits.bodyTimeoutMs);
  return new Promise<FastifyReply>((resolve, reject) => {
    const context: CallContext = contextOf(request, call.signal);
    const use = async (connection: PortConnection): Promise<void> => {
      let answer: IncomingMessage;
      try {
        answer = await forward({ method, path, headers, body: sent }, connection);
        // Which refuses a status that is none.
        void reply.code(answer.statusCode ?? 0).removeHeader('cache-control');
      } catch (cause) {
        throw noAnswer(which.id, cause);
      }
      const answered = answerHeaders(answer.headers, request.headers, way);
      const body = bodyOf(answer, (cause) => {
        // Of an answer that is ours instead, nothing is the program's.
        for (const name of Object.keys(answered)) reply.removeHeader(name);
        return noAnswer(which.id, cause);
      });
      resolve(reply.headers(answered).send(body));
      await over;
    };
    host.withPort(which, use, context).catch((error: unknown) => {
      // A connection that was given up on fails in ways of its own.
      reject(call.signal.aborted ? abortReason(call.signal) : (error as Error));
    });
  });
}

function noAnswer(id: string, cause: unknown): BoughError {
  if (isBoughError(cause)) return cause;
  const problem = cause instanceof Error ? cause.message : 'it broke';
  return new BoughError('port_failed', { id, problem }, { cause });
}

/** Once there is a connection it is the program that answers. */
async function passOn(
  { host, shell: { calls, upgrades }, way }: Served,
  { request, reply, which, path }: Asked,
): Promise<FastifyReply> {
  const upgrade = upgrades.get(request.raw);
  if (upgrade === undefined) throw new BoughError('malformed_http', { problem: 'it asks for no upgrade' });
  // What it is answered with is the program's word to the browser; by path, it would be about the daemon's own address.
  if (!way.hasOwnOrigin && isBrowser(request.headers)) throw new BoughError('origin_not_allowed');
  const call = (request.call = calls.begin('socket', { revoked: request.revoked }));
  const { socket } = upgrade;
  socket.once('close', () => {
    call.clientLeft();
    calls.end(call);
  });
  await host.withPort(
    which,
    async (connection) => {
      sendUpgrade(request.raw, upgrade, { connection, path, way });
      await connection.connected;
      void reply.code(101).hijack();
      call.signal.addEventListener('abort', () => void socket.destroy());
      await join(socket, connection).catch(() => undefined);
      socket.destroy();
    },
    contextOf(request, call.signal),
  );
  return reply;
}

/** Nobody reads any more from a connection that was handed over and refused. */
function endRefusedUpgrades(app: FastifyInstance, { upgrades }: Shell): void {
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    if (upgrades.has(raw)) raw.socket.destroySoon();
    done();
  });
}
