/** The timeline of a sandbox: going back to a snapshot in place. */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { tagSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, type RouteTable } from './route.js';
import { sandboxSchema } from './sandboxes.js';
import { snapshotSchema } from './snapshots.js';

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

const rollbackErrors = [
  'invalid_request',
  'sandbox_not_found',
  'sandbox_not_running',
  'rollback_in_progress',
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
  'egress_unavailable',
  'integrity_error',
  'sandbox_outdated',
  'source_died',
  'vmm_failed',
] as const satisfies readonly ErrorCode[];

/** Routes of timelines. */
export const timelineRoutes = {
  rollback: {
    ...endpoints.rollback,
    kind: 'json',
    scope: 'exec',
    summary:
      'Take a sandbox to a snapshot in place: id, name, URLs, network policy and end stay, memory, disk and programs are those of the snapshot. Calls into its guest that are under way fail with `sandbox_rolled_back`. On any failure it runs on as it was.',
    resource: 'sandboxes',
    params: byId,
    body: rollbackRequestSchema,
    replies: { 200: rolledBackSchema },
    errors: rollbackErrors,
  },
} as const satisfies RouteTable;
