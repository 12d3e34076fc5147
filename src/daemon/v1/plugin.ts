/** The native API: its rows behind its guard, and the shape of its failures. */
import { serializerCompiler } from 'fastify-type-provider-zod';
import { changes, statusOf, type RouteTable } from '../../contract/index.js';
import { callerOf, checkHostHeader, checkOrigin, checkScope, offeredAuthorization } from '../auth/guard.js';
import type { Keyring } from '../auth/keyring.js';
import { greetPage, type AllowedOrigins } from '../auth/origins.js';
import type { ListenAddress } from '../config.js';
import { bindRows } from '../rows/bind.js';
import type { HandlersOf } from '../rows/handlers.js';
import type { Api } from '../shell/shell.js';
import { inWireNames } from './names.js';

export interface NativeApiOptions<T extends RouteTable> {
  readonly table: T;
  readonly handlers: HandlersOf<T>;
  readonly listen: ListenAddress;
  readonly keyring: Keyring;
  readonly allowedOrigins: AllowedOrigins;
}

/** Answers for all paths that no other API has: `/healthz`, `/version`, `/metrics` and `/openapi.json` are older than its prefix. */
export function nativeApi<T extends RouteTable>(options: NativeApiOptions<T>): Api {
  const { table, handlers, listen, keyring, allowedOrigins } = options;
  return {
    prefixes: [''],
    refusal: (failure, request) => ({
      status: statusOf(failure, request?.routeOptions.config.route),
      body: failure.toWire(),
      ...(failure.status === 401 ? { headers: { 'www-authenticate': 'Bearer' } } : {}),
    }),
    register: (app, shell) => {
      app.addHook('onRequest', (request, reply, done) => {
        const { route } = request.routeOptions.config;
        checkHostHeader(request.headers, listen);
        if (greetPage(request, reply, allowedOrigins)) return;
        // A browser holds no token for a page of another site to use.
        if (!keyring.isGuarded || route?.kind === 'stream' || route?.kind === 'socket')
          checkOrigin(request.headers, allowedOrigins);
        if (route?.open !== true) {
          const {
            authorization = route?.kind === 'socket' ? offeredAuthorization(request.headers) : undefined,
          } = request.headers;
          const caller = callerOf({ authorization }, keyring);
          request.principal = caller.principal;
          request.revoked = caller.revoked;
          request.mayChange = route !== undefined && changes(route);
          if (route !== undefined) checkScope(caller, route.scope);
        }
        done();
      });
      app.setSerializerCompiler(serializerCompiler);
      bindRows(app, shell, table, handlers, inWireNames);
    },
  };
}
