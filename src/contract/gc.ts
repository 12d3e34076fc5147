/** The collector on the wire: what it removes, what it keeps although it looked at it, and why. */

import { z } from 'zod';
import { bytesSchema } from './fields.js';

export const gcRequestSchema = z.object({
  dry_run: z.boolean().default(false).describe('only say what would be removed'),
});
export type GcRequest = z.output<typeof gcRequestSchema>;
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
