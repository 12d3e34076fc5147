/**
 * The route table: the one description of the native API from which the server registers its routes, the SDK
 * takes its types and docs/reference/api.md is generated.
 *
 * Methods and paths are in endpoints.ts. `replies` maps each success status to its body; `null` is no body and
 * `'text'` is plain text. `errors` lists what the route itself can fail with; what any route can fail with is
 * in `commonErrors`.
 */

import { z } from 'zod';
import { branchRequestSchema, forkRequestSchema, forkResultSchema } from './branch.js';
import { healthSchema, openApiSchema, versionSchema } from './daemon.js';
import { endpoints, type Endpoint } from './endpoints.js';
import type { ErrorCode } from './errors.js';
import { tagSchema } from './fields.js';
import { gcRequestSchema, gcResultSchema } from './gc.js';
import { timeoutRequestSchema } from './lifetime.js';
import {
  evalRequestSchema,
  evalResultSchema,
  execRequestSchema,
  execResultSchema,
  pingResultSchema,
  sandboxSchema,
  spawnRequestSchema,
} from './sandbox.js';
import {
  compactRequestSchema,
  createSnapshotRequestSchema,
  deleteSnapshotQuerySchema,
  snapshotInfoSchema,
  snapshotSchema,
} from './snapshot.js';

export interface RouteDefinition extends Endpoint {
  readonly summary: string;
  readonly resource: 'daemon' | 'snapshots' | 'sandboxes';
  /** True for a route that needs no token. */
  readonly open?: boolean;
  /** True for a route that makes something, and takes an `Idempotency-Key`; it can fail with `keyedErrors` besides. */
  readonly keyed?: boolean;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  /** A route without one ignores any body. An absent body is validated as `{}`. */
  readonly body?: z.ZodType;
  readonly replies: Readonly<Record<number, z.ZodType | 'text' | null>>;
  readonly errors: readonly ErrorCode[];
  /** Codes that this route answers with another status than the catalogue's. */
  readonly statusFor?: Partial<Record<ErrorCode, number>>;
}

/** What any route but an open one can fail with. */
export const commonErrors = [
  'malformed_json',
  'malformed_http',
  'unauthorized',
  'host_not_allowed',
  'route_not_found',
  'method_not_allowed',
  'request_timeout',
  'payload_too_large',
  'unsupported_media_type',
  'headers_too_large',
  'too_many_open_files',
  'shutting_down',
  'internal',
] as const satisfies readonly ErrorCode[];

/** What any route that takes an `Idempotency-Key` can fail with. */
export const keyedErrors = [
  'invalid_request',
  'idempotency_key_reused',
] as const satisfies readonly ErrorCode[];

const byTag = z.object({ tag: tagSchema });
// Any text that is not a known id is simply not found.
const byId = z.object({ id: z.string() });

const restoreErrors = [
  'snapshot_not_usable',
  'snapshot_incompatible',
  'integrity_error',
  'no_memory',
  'too_many_mappings',
  'vmm_failed',
] as const satisfies readonly ErrorCode[];

const branchErrors = [
  'invalid_request',
  'mode_unsupported',
  'sandbox_not_found',
  'sandbox_not_running',
  'tag_exists',
  'branch_in_progress',
  'too_many_branches',
  'no_space',
  'not_durable',
  'integrity_error',
  'source_died',
  'vmm_failed',
  'too_many_mappings',
] as const satisfies readonly ErrorCode[];

export const routes = {
  healthz: {
    ...endpoints.healthz,
    summary: 'Is the daemon up? Needs no token.',
    resource: 'daemon',
    open: true,
    replies: { 200: healthSchema },
    errors: [],
  },
  version: {
    ...endpoints.version,
    summary: "The daemon's version and its API's.",
    resource: 'daemon',
    replies: { 200: versionSchema },
    errors: [],
  },
  metrics: {
    ...endpoints.metrics,
    summary: 'Counters, gauges and histograms as Prometheus text.',
    resource: 'daemon',
    replies: { 200: 'text' },
    errors: [],
  },
  openapi: {
    ...endpoints.openapi,
    summary: 'This API as an OpenAPI 3.1 document.',
    resource: 'daemon',
    replies: { 200: openApiSchema },
    errors: [],
  },
  gc: {
    ...endpoints.gc,
    summary:
      'Remove what has expired, what `keep_last` no longer keeps and what crashes left behind, as the daemon does by itself every minute; or say what that would be.',
    resource: 'daemon',
    body: gcRequestSchema,
    replies: { 200: gcResultSchema },
    errors: ['invalid_request'],
  },

  listSnapshots: {
    ...endpoints.listSnapshots,
    summary: 'Every snapshot, each tag once; one that is being written is listed as `writing`.',
    resource: 'snapshots',
    replies: { 200: z.array(snapshotSchema) },
    errors: [],
  },
  createSnapshot: {
    ...endpoints.createSnapshot,
    keyed: true,
    summary: 'Boot an image, or a kernel and a root filesystem, and capture it when its agent answers.',
    resource: 'snapshots',
    body: createSnapshotRequestSchema,
    replies: { 201: snapshotSchema },
    errors: [
      'invalid_request',
      'tag_exists',
      'image_not_found',
      'no_space',
      'no_memory',
      'boot_failed',
      'vmm_failed',
    ],
    statusFor: { tag_exists: 400 },
  },
  getSnapshot: {
    ...endpoints.getSnapshot,
    summary: 'One snapshot.',
    resource: 'snapshots',
    params: byTag,
    replies: { 200: snapshotSchema },
    errors: ['invalid_request', 'snapshot_not_found'],
  },
  snapshotInfo: {
    ...endpoints.snapshotInfo,
    summary: 'One snapshot with its sizes and lineage.',
    resource: 'snapshots',
    params: byTag,
    replies: { 200: snapshotInfoSchema },
    errors: ['invalid_request', 'snapshot_not_found'],
  },
  deleteSnapshot: {
    ...endpoints.deleteSnapshot,
    summary: 'Delete a snapshot. Running sandboxes are never harmed by it.',
    resource: 'snapshots',
    params: byTag,
    query: deleteSnapshotQuerySchema,
    replies: { 204: null },
    errors: ['invalid_request', 'snapshot_not_found', 'snapshot_in_use'],
  },
  compactSnapshot: {
    ...endpoints.compactSnapshot,
    keyed: true,
    summary: 'Fold a snapshot and its ancestors into a new one without parents.',
    resource: 'snapshots',
    params: byTag,
    body: compactRequestSchema,
    replies: { 200: snapshotSchema },
    errors: [
      'invalid_request',
      'snapshot_not_found',
      'tag_exists',
      'snapshot_not_usable',
      'integrity_error',
      'no_space',
    ],
  },

  listSandboxes: {
    ...endpoints.listSandboxes,
    summary: 'Every sandbox.',
    resource: 'sandboxes',
    replies: { 200: z.array(sandboxSchema) },
    errors: [],
  },
  spawn: {
    ...endpoints.spawn,
    keyed: true,
    summary:
      'Start sandboxes from a snapshot: all of them or none, also if the client leaves before there is an answer. The answer is an array for `n` = 1 too.',
    resource: 'sandboxes',
    body: spawnRequestSchema,
    replies: { 201: z.array(sandboxSchema) },
    errors: ['invalid_request', 'snapshot_not_found', 'no_space', 'agent_unreachable', ...restoreErrors],
  },
  getSandbox: {
    ...endpoints.getSandbox,
    summary: 'One sandbox.',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: sandboxSchema },
    errors: ['sandbox_not_found'],
  },
  removeSandbox: {
    ...endpoints.removeSandbox,
    summary: 'End a sandbox. When the answer arrives its process is gone.',
    resource: 'sandboxes',
    params: byId,
    replies: { 204: null },
    errors: ['sandbox_not_found'],
  },
  exec: {
    ...endpoints.exec,
    summary:
      'Run a program in the guest and wait for it. Of stdout and stderr the first 16 MiB each are kept; `truncated` says whether there was more.',
    resource: 'sandboxes',
    params: byId,
    body: execRequestSchema,
    replies: { 200: execResultSchema },
    errors: [
      'invalid_request',
      'sandbox_not_found',
      'sandbox_not_running',
      'agent_unreachable',
      'agent_protocol',
      'agent_refused',
      'agent_deadline',
    ],
  },
  evaluate: {
    ...endpoints.evaluate,
    summary:
      "Evaluate an expression in the image's warm interpreter. Of what it prints the first mebibyte of each stream is kept; `truncated` says whether there was more.",
    resource: 'sandboxes',
    params: byId,
    body: evalRequestSchema,
    replies: { 200: evalResultSchema },
    errors: [
      'invalid_request',
      'sandbox_not_found',
      'sandbox_not_running',
      'agent_unreachable',
      'agent_protocol',
      'agent_refused',
      'agent_deadline',
    ],
  },
  ping: {
    ...endpoints.ping,
    summary: 'Does the agent in the guest answer?',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: pingResultSchema },
    errors: [
      'sandbox_not_found',
      'sandbox_not_running',
      'agent_unreachable',
      'agent_protocol',
      'agent_refused',
      'agent_deadline',
    ],
  },
  setTimeout: {
    ...endpoints.setTimeout,
    summary:
      'Set when and how a sandbox ends: sooner, later or never. Using a sandbox never changes `end_at_unix`, it only puts off an idle end.',
    resource: 'sandboxes',
    params: byId,
    body: timeoutRequestSchema,
    replies: { 200: sandboxSchema },
    errors: ['invalid_request', 'sandbox_not_found', 'sandbox_not_running'],
  },
  branch: {
    ...endpoints.branch,
    keyed: true,
    summary:
      'Capture a running sandbox, which keeps running. 201 with the snapshot; 202 with `status: "writing"` for `wait: false`.',
    resource: 'sandboxes',
    params: byId,
    body: branchRequestSchema,
    replies: { 201: snapshotSchema, 202: snapshotSchema },
    errors: branchErrors,
  },
  fork: {
    ...endpoints.fork,
    keyed: true,
    summary:
      'Branch a sandbox and start children from the capture. A child that fails does not fail the call.',
    resource: 'sandboxes',
    params: byId,
    body: forkRequestSchema,
    replies: { 201: forkResultSchema },
    errors: branchErrors,
  },
} as const satisfies Record<string, RouteDefinition>;

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

/** The HTTP status of a code when `route` fails with it. */
export function statusOf(
  error: { code: ErrorCode; status: number },
  route: RouteDefinition | undefined,
): number {
  return route?.statusFor?.[error.code] ?? error.status;
}
