/** A table of rows bound to its handlers, in the context of one API: each kind of row in its own way. */
import type { FastifyInstance } from 'fastify';
import type { RouteTable, SocketRoute, StreamRoute } from '../../contract/index.js';
import type { Shell } from '../shell/shell.js';
import type { HandlersOf } from './handlers.js';
import { bindJson, readJsonBodies } from './json.js';
import { bindSocket, type AnySocketHandler } from './socket.js';
import { bindStream, passBodies, type AnyStreamHandler } from './stream.js';
import { openSockets } from './upgrades.js';

/** What a handler fails with passes through `translate`. */
export function bindRows<T extends RouteTable>(
  app: FastifyInstance,
  shell: Shell,
  table: T,
  handlers: HandlersOf<T>,
  translate: (error: unknown) => unknown,
): void {
  const handlerOf = (name: string) => translating(handlers[name] as AnyHandler, translate);
  const streams: [string, StreamRoute][] = [];
  const sockets: [string, SocketRoute][] = [];
  readJsonBodies(app, shell.limits);
  for (const [name, route] of Object.entries(table)) {
    if (route.kind === 'json') bindJson(app, shell, [name, route], handlerOf(name));
    else if (route.kind === 'stream') streams.push([name, route]);
    else sockets.push([name, route]);
  }
  void app.register((own, _options, done) => {
    passBodies(own);
    for (const [name, route] of streams) bindStream(own, shell, route, handlerOf(name) as AnyStreamHandler);
    done();
  });
  if (sockets.length === 0) return;
  void app.register(async (own) => {
    const paths = sockets.map(([, { path }]) => path);
    await openSockets(own, paths, shell);
    for (const [name, route] of sockets) bindSocket(own, shell, route, handlerOf(name) as AnySocketHandler);
  });
}

/** Of some row; the table ties a name to its handler's types, and a loop over all names cannot know which it holds. */
type AnyHandler = (asked: never, call: never) => unknown;

function translating(handler: AnyHandler, translate: (error: unknown) => unknown): AnyHandler {
  return async (asked, call) => {
    try {
      return await handler(asked, call);
    } catch (error) {
      throw translate(error);
    }
  };
}
