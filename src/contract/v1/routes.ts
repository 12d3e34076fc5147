/** The route table of the native API, and the types of each call that follow from it. */

import type { z } from 'zod';
import { branchRoutes } from './branches.js';
import { daemonRoutes } from './daemon.js';
import { execRoutes } from './exec.js';
import { sandboxRoutes } from './sandboxes.js';
import { snapshotRoutes } from './snapshots.js';

export const routes = {
  ...daemonRoutes,
  ...snapshotRoutes,
  ...sandboxRoutes,
  ...execRoutes,
  ...branchRoutes,
};

export type Routes = typeof routes;
export type RouteName = keyof Routes;

type Definition<N extends RouteName> = Routes[N];

/** A route's path parameters. */
export type RouteParams<N extends RouteName> =
  Definition<N> extends { params: z.ZodType<infer P> } ? P : undefined;

/** A route's query as handlers get it. */
export type RouteQuery<N extends RouteName> =
  Definition<N> extends { query: z.ZodType<infer Q> } ? Q : undefined;

/** A route's body as handlers get it: defaults filled in, older forms translated. */
export type RouteBody<N extends RouteName> =
  Definition<N> extends { body: z.ZodType<infer B> } ? B : undefined;

/** A route's body as clients may send it. */
export type RouteBodyInput<N extends RouteName> =
  Definition<N> extends { body: infer B extends z.ZodType } ? z.input<B> : undefined;

type ReplyBody<R> = R extends z.ZodType ? z.output<R> : R extends 'text' ? string : undefined;

/** A route's answer; `undefined` for 204. */
export type RouteReply<N extends RouteName> = ReplyBody<
  Definition<N>['replies'][keyof Definition<N>['replies']]
>;
