/** The route table of the native API, and the types of each call that follow from it. */

import type { z } from 'zod';
import { branchRoutes } from './branches.js';
import { daemonRoutes } from './daemon.js';
import { eventRoutes } from './events.js';
import { execRoutes } from './exec.js';
import { fileRoutes } from './files.js';
import { processRoutes } from './processes.js';
import { networkRoutes } from './network.js';
import { portRoutes } from './ports.js';
import type {
  BytesNamesOf,
  JsonNamesOf,
  PagedNamesOf,
  ParamsOf,
  QueryOf,
  ReplyOf,
  SocketNamesOf,
  StreamNamesOf,
} from './route.js';
import { sandboxRoutes } from './sandboxes.js';
import { secretRoutes } from './secrets.js';
import { snapshotRoutes } from './snapshots.js';
import { timelineRoutes } from './timeline.js';
import { watchRoutes } from './watch.js';

export const routes = {
  ...daemonRoutes,
  ...eventRoutes,
  ...snapshotRoutes,
  ...sandboxRoutes,
  ...execRoutes,
  ...branchRoutes,
  ...timelineRoutes,
  ...processRoutes,
  ...networkRoutes,
  ...fileRoutes,
  ...watchRoutes,
  ...portRoutes,
  ...secretRoutes,
};

export type Routes = typeof routes;
export type RouteName = keyof Routes;

/** Routes that can be called and answered as a whole. */
export type JsonRouteName = JsonNamesOf<Routes>;

/** Routes that can answer with a stream. */
export type StreamRouteName = StreamNamesOf<Routes>;

/** Routes that are sent bytes to pass on. */
export type BytesRouteName = BytesNamesOf<Routes>;

/** Routes that are WebSockets. */
export type SocketRouteName = SocketNamesOf<Routes>;

/** Routes whose answer is a list that can come in pages. */
export type PagedRouteName = PagedNamesOf<Routes>;

/** A route's path parameters. */
export type RouteParams<N extends RouteName> = ParamsOf<Routes[N]>;

/** A route's query as handlers get it. */
export type RouteQuery<N extends RouteName> = QueryOf<Routes[N]>;

/** A route's body as clients may send it. */
export type RouteBodyInput<N extends RouteName> = Routes[N] extends { body: infer B extends z.ZodType }
  ? z.input<B>
  : undefined;

/** A route's answer; `undefined` for 204. */
export type RouteReply<N extends JsonRouteName> = ReplyOf<Routes[N]>;
