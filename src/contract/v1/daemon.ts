/** The daemon as a whole: what it says about itself, its collector, and the body of every failure. */

import { z } from 'zod';
import { bytesSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import type { RouteTable } from './route.js';

export const healthSchema = z.looseObject({ ok: z.literal(true) });

export const versionSchema = z.object({ version: z.string(), api: z.literal('v1') });

/** Read it as OpenAPI says, not by this schema. */
export const openApiSchema = z.looseObject({ openapi: z.literal('3.1.0') });

export const errorBodySchema = z.object({
  error: z.string().describe('a sentence'),
  code: z.string().describe('one of the codes below'),
  details: z.record(z.string(), z.unknown()).optional(),
});

export const gcRequestSchema = z.object({
  dry_run: z.boolean().default(false).describe('only say what would be removed'),
});
export type GcRequestInput = z.input<typeof gcRequestSchema>;

export const gcItemSchema = z.object({
  what: z.enum(['snapshot', 'temporary', 'sandbox_folder', 'quarantine']),
  name: z.string().describe('tag of a snapshot, id of a sandbox whose folders these are, otherwise a path'),
  why: z.string().describe('a sentence'),
  bytes: bytesSchema.describe(
    'what its removal frees, in memory and on disk; shared files count for the last user',
  ),
});
export type GcItem = z.infer<typeof gcItemSchema>;

export const gcResultSchema = z.object({
  dry_run: z.boolean(),
  removed: z.array(gcItemSchema).describe('with `dry_run`: what would be removed'),
  kept: z.array(gcItemSchema).describe('what could go, were it not for the reason given'),
  freed_bytes: bytesSchema,
});
export type GcResult = z.infer<typeof gcResultSchema>;

/** Routes of the daemon. */
export const daemonRoutes = {
  healthz: {
    ...endpoints.healthz,
    kind: 'json',
    scope: 'read',
    summary: 'Is the daemon up? Needs no token.',
    resource: 'daemon',
    open: true,
    replies: { 200: healthSchema },
    errors: [],
  },
  version: {
    ...endpoints.version,
    kind: 'json',
    scope: 'read',
    summary: "The daemon's version and its API's.",
    resource: 'daemon',
    replies: { 200: versionSchema },
    errors: [],
  },
  metrics: {
    ...endpoints.metrics,
    kind: 'json',
    scope: 'read',
    summary: 'Counters, gauges and histograms as Prometheus text.',
    resource: 'daemon',
    replies: { 200: 'text' },
    errors: [],
  },
  openapi: {
    ...endpoints.openapi,
    kind: 'json',
    scope: 'read',
    summary: 'This API as an OpenAPI 3.1 document.',
    resource: 'daemon',
    replies: { 200: openApiSchema },
    errors: [],
  },
  gc: {
    ...endpoints.gc,
    kind: 'json',
    scope: 'admin',
    summary:
      'Remove what has expired, what `keep_last` no longer keeps and what crashes left behind, as the daemon does by itself every minute; or say what that would be.',
    resource: 'daemon',
    body: gcRequestSchema,
    replies: { 200: gcResultSchema },
    errors: ['invalid_request'],
  },
} as const satisfies RouteTable;
