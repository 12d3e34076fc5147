/** Unknown routes, told apart from known paths under the wrong method: 404 and 405. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BoughError } from '../../contract/index.js';

interface KnownPath {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/** Answers what no route matches below `prefixes`, for every route that is registered in this context after this call. */
export function handleUnknownRoutes(app: FastifyInstance, prefixes: readonly string[]): void {
  const paths = new Map<string, KnownPath>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = paths.get(url) ?? { pattern: pathPattern(url), methods: new Set<string>() };
    for (const one of [method].flat()) known.methods.add(one);
    paths.set(url, known);
  });
  const refuse = (request: FastifyRequest, reply: FastifyReply): never => {
    const path = request.url.split('?', 1)[0] ?? '';
    const method = request.method;
    const allowed = [...paths.values()]
      .filter(({ pattern }) => pattern.test(path))
      .flatMap(({ methods }) => [...methods]);
    if (allowed.length === 0) throw new BoughError('route_not_found', { method, path });
    void reply.header('allow', allowed.join(', '));
    throw new BoughError('method_not_allowed', { method, path, allowed });
  };
  for (const prefix of prefixes) {
    void app.register(
      (below, _options, done) => {
        below.setNotFoundHandler(refuse);
        done();
      },
      { prefix },
    );
  }
}

/** What a route's path matches. */
export function pathPattern(url: string): RegExp {
  const source = url
    .split('/')
    .map((part) =>
      part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('/');
  return new RegExp(`^${source}$`);
}
