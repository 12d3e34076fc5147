/** Changes of a sandbox's files, as they happen. */

import { z } from 'zod';
import { flagSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import { exactlyOnePath, fileErrorCodes, fileSubject } from './files.js';
import { byId, type RouteTable } from './route.js';
import { NDJSON_TYPE } from './stream-types.js';

export const watchQuerySchema = z
  .strictObject({
    ...fileSubject,
    recursive: flagSchema.describe('of a folder: also all that is below it, at most 4,096 folders'),
  })
  .superRefine(exactlyOnePath);

const pathFields = {
  path: z.string().optional().describe('below what is watched, empty for that itself'),
  path_base64: z.string().optional().describe('instead of `path` for what is no text'),
};

/** A line of a watch. */
export const watchLineSchema = z.union([
  z.object({
    type: z.literal('watching').describe('from here on every change is told'),
    folders: z.int().describe('how many there are'),
  }),
  z.object({
    type: z
      .enum(['created', 'written', 'removed', 'metadata'])
      .describe('a rename is `removed` and `created`; `metadata` is mode, owner, times'),
    ...pathFields,
    folder: z.boolean().optional().describe('true for a folder'),
  }),
  z.object({ type: z.literal('missed').describe('some changes were not told: there were too many') }),
  z.object({
    type: z.literal('unwatched').describe('changes in that folder are not told: there are too many folders'),
    ...pathFields,
  }),
  z.object({ type: z.literal('keepalive') }),
  z.object({ type: z.literal('error'), error: z.string(), code: z.string() }),
  z.object({ type: z.literal('end').describe('what was watched is gone') }),
]);
export type WatchLine = z.infer<typeof watchLineSchema>;

/** Routes of watches. */
export const watchRoutes = {
  watchFiles: {
    ...endpoints.watchFiles,
    kind: 'stream',
    endless: true,
    scope: 'exec',
    summary:
      'What changes at a path, as lines of JSON until the client leaves: `watching` first, then `created`, `written`, `removed` and `metadata` with a path each. A change may be told twice, and what was not told is said: by `missed` where there were too many for whoever reads, by `unwatched` where there are too many folders. Last of all `end` when what is watched is gone, or `error`.',
    resource: 'files',
    params: byId,
    query: watchQuerySchema,
    replies: { 200: NDJSON_TYPE },
    errors: fileErrorCodes,
  },
} as const satisfies RouteTable;
