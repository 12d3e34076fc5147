/** The timeline of a sandbox: checkpoints at intervals, thinned out with age, and going back to a snapshot in place. */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { bytesSchema, millisecondsSchema, tagSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, type RouteTable } from './route.js';
import { sandboxSchema } from './sandboxes.js';
import { snapshotSchema, snapshotStatusSchema } from './snapshots.js';

export const rollbackRequestSchema = z
  .object({
    tag: tagSchema
      .optional()
      .describe("the snapshot to go back to, of whatever sandbox; this one's newest checkpoint when absent"),
    keep: z.boolean().default(true).describe('whether the state of before becomes a checkpoint'),
    keep_tag: tagSchema.optional().describe('name of that checkpoint; made up when absent'),
  })
  .superRefine(({ keep, keep_tag }, context) => {
    if (keep || keep_tag === undefined) return;
    context.addIssue({
      code: 'custom',
      path: ['keep_tag'],
      message: 'cannot be combined with `keep: false`',
    });
  });
/** Take a sandbox to a snapshot, in place. */
export type RollbackRequest = z.output<typeof rollbackRequestSchema>;
export type RollbackRequestInput = z.input<typeof rollbackRequestSchema>;

export const rolledBackSchema = z.object({
  sandbox: sandboxSchema,
  kept: snapshotSchema
    .optional()
    .describe('the state of before; absent when it was not to be kept, or the VM had ended'),
});
export type RolledBack = z.infer<typeof rolledBackSchema>;

const MAX_SECS = 315_360_000;
const TIB = 2 ** 40;

export const keepSchema = z.object({
  within_secs: z.number().positive().max(MAX_SECS).describe('of checkpoints that are at most so old'),
  every_secs: z
    .number()
    .positive()
    .max(MAX_SECS)
    .optional()
    .describe('one in so many seconds stays; all of them when absent'),
});
/** A tier of a timeline that is thinned out. */
export type Keep = z.infer<typeof keepSchema>;

const everySchema = z.number().min(1).max(MAX_SECS).describe('seconds from one to the next');
const keepListSchema = z.array(keepSchema).min(1).max(16);
const maxBytesSchema = z
  .int()
  .min(1)
  .max(1024 * TIB);

export const checkpointsRequestSchema = z.object({
  every_secs: everySchema,
  keep: keepListSchema
    .optional()
    .describe(
      'which of them stay, by age; of an older one than any tier has none does. Default: all for a minute, one a minute for an hour, one an hour for a day',
    ),
  max_bytes: maxBytesSchema
    .optional()
    .describe(
      'what all of them may take in both tiers of the store; beyond it the oldest go. Default: 4 GiB',
    ),
});
/** Take checkpoints by itself. */
export type CheckpointsRequest = z.output<typeof checkpointsRequestSchema>;
export type CheckpointsRequestInput = z.input<typeof checkpointsRequestSchema>;

export const checkpointsSchema = z.object({
  schedule: z
    .object({ every_secs: everySchema, keep: keepListSchema, max_bytes: maxBytesSchema })
    .nullable()
    .describe('null where none are taken by themselves'),
  warning: z.string().optional().describe('why the last one was not taken, until one is'),
});
/** Which checkpoints are taken of a sandbox, and stay. */
export type Checkpoints = z.infer<typeof checkpointsSchema>;

export const timelinePointSchema = z.object({
  tag: z.string().describe('the snapshot'),
  at_unix_ms: z.int().describe('when it was taken, by the clock of the host'),
  status: snapshotStatusSchema,
  bytes: bytesSchema.describe('what its removal would free, in both tiers of the store'),
  pause_ms: millisecondsSchema.optional(),
  durable: z.boolean(),
  thinned: z
    .boolean()
    .describe('whether it goes by itself; one that was asked for stays until it is removed'),
  origin: z.boolean().describe('whether it is what the sandbox was taken back to last, or started from'),
});
/** A point to go back to. */
export type TimelinePoint = z.infer<typeof timelinePointSchema>;

const rollbackErrors = [
  'invalid_request',
  'sandbox_not_found',
  'sandbox_not_running',
  'rollback_in_progress',
  'branch_in_progress',
  'no_checkpoint',
  'snapshot_not_found',
  'snapshot_not_usable',
  'snapshot_incompatible',
  'tag_exists',
  'too_many_branches',
  'mode_unsupported',
  'no_space',
  'no_memory',
  'limit_unusable',
  'too_many_mappings',
  'agent_unreachable',
  'agent_protocol',
  'agent_refused',
  'agent_deadline',
  'egress_unavailable',
  'integrity_error',
  'sandbox_outdated',
  'branch_not_in_time',
  'source_died',
  'vmm_failed',
] as const satisfies readonly ErrorCode[];

const scheduleErrors = [
  'invalid_request',
  'sandbox_not_found',
  'sandbox_not_running',
  'rollback_in_progress',
] as const satisfies readonly ErrorCode[];

/** Routes of timelines. */
export const timelineRoutes = {
  timeline: {
    ...endpoints.timeline,
    kind: 'json',
    scope: 'read',
    summary:
      'The checkpoints of a sandbox, oldest first: those it took by itself, was asked for, or made when it was rolled back.',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: z.array(timelinePointSchema) },
    errors: ['sandbox_not_found'],
  },
  getCheckpoints: {
    ...endpoints.getCheckpoints,
    kind: 'json',
    scope: 'read',
    summary: 'How often a checkpoint of the sandbox is taken by itself, and which of them stay.',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: checkpointsSchema },
    errors: ['sandbox_not_found'],
  },
  setCheckpoints: {
    ...endpoints.setCheckpoints,
    kind: 'json',
    scope: 'exec',
    summary:
      'Have a checkpoint taken at every interval from now on, and thinned out with age: each is a snapshot. It goes on after a restart of the daemon; a paused sandbox has none taken. For a single one, branch with `checkpoint: true`.',
    resource: 'sandboxes',
    params: byId,
    body: checkpointsRequestSchema,
    replies: { 200: checkpointsSchema },
    errors: scheduleErrors,
  },
  removeCheckpoints: {
    ...endpoints.removeCheckpoints,
    kind: 'json',
    scope: 'exec',
    summary: 'Have none taken by itself any more. Those there are stay as long as they would have.',
    resource: 'sandboxes',
    params: byId,
    replies: { 204: null },
    errors: ['sandbox_not_found', 'sandbox_not_running', 'rollback_in_progress'],
  },
  rollback: {
    ...endpoints.rollback,
    kind: 'json',
    scope: 'exec',
    keyed: true,
    summary:
      'Take a sandbox to a snapshot in place: id, name, URLs, network policy and end stay, memory, disk and programs are those of the snapshot. Calls into its guest that are under way fail with `sandbox_rolled_back`. On any failure it runs on as it was.',
    resource: 'sandboxes',
    params: byId,
    body: rollbackRequestSchema,
    replies: { 200: rolledBackSchema },
    errors: rollbackErrors,
  },
} as const satisfies RouteTable;
