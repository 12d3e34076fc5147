/**
 * Branch and fork: the requests, their answers, their routes.
 *
 * The older boolean forms `diff: true` and `live: true` are turned into `mode` here, so that nothing behind
 * this file knows them.
 */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { ignoredSchema, millisecondsSchema, tagSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import {
  lifetimeFields,
  refuseSharedTag,
  refuseTwoEnds,
  refuseTwoExpiries,
  retentionFields,
} from './lifetime.js';
import { networkFields } from './network.js';
import { byId, guestErrors, type RouteTable } from './route.js';
import { sandboxSchema } from './sandboxes.js';
import { branchModeSchema, snapshotSchema, type BranchMode } from './snapshots.js';

/**
 * What to wait for: `true` until `ready`, `'durable'` until it would survive power loss, `false` for the
 * pause only.
 */
export const branchWaitSchema = z.union(
  [z.boolean(), z.literal('durable')],
  'must be true, false or "durable"',
);
export type BranchWait = z.infer<typeof branchWaitSchema>;

interface ModeFields {
  mode?: BranchMode | undefined;
  diff?: boolean | undefined;
  live?: boolean | undefined;
}

const modeFields = {
  mode: branchModeSchema.optional().describe('default `live`'),
  diff: z.boolean().optional().describe('older form of `mode: "diff"`'),
  live: z.boolean().optional().describe('older form of `mode: "live"`'),
};

const freezeFields = {
  freeze: z
    .boolean()
    .optional()
    .describe(
      'the programs in the guest stand still from before the pause until each child is its own, and in the source until its end: none draws random numbers that another child draws, or sees the old clock',
    ),
};

export const branchRequestSchema = z
  .object({
    tag: tagSchema.optional().describe('name of the new snapshot; made up when absent'),
    ...modeFields,
    wait: branchWaitSchema.default(true).describe('`true`: until ready, `"durable"`, or `false` (live only)'),
    parent_tag: tagSchema.optional().describe("only with diff: must equal the source's `snapshot_tag`"),
    ...freezeFields,
    ...retentionFields,
    checkpoint: z
      .boolean()
      .optional()
      .describe("whether it is a point on the sandbox's timeline, that an undo goes back to"),
    measure_diff: ignoredSchema,
  })
  .superRefine((request, context) => {
    refuseTwoModes(request, context);
    refuseTwoExpiries(request, context);
    const mode = effectiveMode(request);
    if (request.wait === false && mode !== 'live') {
      context.addIssue({ code: 'custom', path: ['wait'], message: `cannot be false with mode "${mode}"` });
    }
    if (request.parent_tag !== undefined && mode !== 'diff') {
      context.addIssue({ code: 'custom', path: ['parent_tag'], message: `needs mode "diff", not "${mode}"` });
    }
  })
  .transform(({ tag, wait, parent_tag, checkpoint, ...rest }) => ({
    ...(tag === undefined ? {} : { tag }),
    ...(parent_tag === undefined ? {} : { parent_tag }),
    ...only(rest, { ...freezeFields, ...retentionFields }),
    mode: effectiveMode(rest),
    wait,
    ...(checkpoint === true ? { checkpoint } : {}),
  }));
/** Capture a running sandbox, which keeps running. */
export type BranchRequest = z.output<typeof branchRequestSchema>;
export type BranchRequestInput = z.input<typeof branchRequestSchema>;

export const forkRequestSchema = z
  .object({
    count: z.int().min(1).max(100).default(1).describe('how many children'),
    tag: tagSchema.optional().describe('name of the snapshot between; made up when absent'),
    ...modeFields,
    ...freezeFields,
    ...lifetimeFields,
    ...retentionFields,
    ...networkFields,
  })
  .superRefine((request, context) => {
    refuseTwoModes(request, context);
    refuseTwoEnds(request, context);
    refuseSharedTag(request, request.count, context);
    refuseTwoExpiries(request, context);
  })
  .transform(({ count, tag, ...rest }) => ({
    count,
    ...(tag === undefined ? {} : { tag }),
    ...only(rest, { ...freezeFields, ...lifetimeFields, ...retentionFields, ...networkFields }),
    mode: effectiveMode(rest),
  }));
/** Branch a sandbox and start `count` children from the capture. */
export type ForkRequest = z.output<typeof forkRequestSchema>;
export type ForkRequestInput = z.input<typeof forkRequestSchema>;

export const forkChildSchema = z.union([
  z.object({ sandbox: sandboxSchema }),
  z.object({ error: z.string().describe('why this child did not start'), code: z.string() }),
]);

export const forkResultSchema = z.object({
  snapshot: snapshotSchema,
  pause_ms: millisecondsSchema.describe("the source's pause window"),
  children: z.array(forkChildSchema).describe('one entry for each child asked for'),
});
export type ForkResult = z.infer<typeof forkResultSchema>;

const branchErrors = [
  'invalid_request',
  'mode_unsupported',
  ...guestErrors,
  'sandbox_outdated',
  'tag_exists',
  'branch_in_progress',
  'rollback_in_progress',
  'too_many_branches',
  'no_space',
  'not_durable',
  'integrity_error',
  'branch_not_in_time',
  'source_died',
  'vmm_failed',
  'too_many_mappings',
] as const satisfies readonly ErrorCode[];

/** Routes that branch. */
export const branchRoutes = {
  branch: {
    ...endpoints.branch,
    kind: 'json',
    scope: 'exec',
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
    kind: 'json',
    scope: 'exec',
    keyed: true,
    summary:
      'Branch a sandbox and start children from the capture. A child that fails does not fail the call.',
    resource: 'sandboxes',
    params: byId,
    body: forkRequestSchema,
    replies: { 201: forkResultSchema },
    errors: branchErrors,
  },
} as const satisfies RouteTable;

/** The given ones of `fields` alone. */
function only<T extends object, K extends keyof T>(
  request: T,
  fields: Readonly<Record<K, unknown>>,
): Pick<T, K> {
  const given = Object.entries(request).filter(([name, value]) => name in fields && value !== undefined);
  return Object.fromEntries(given) as Pick<T, K>;
}

function effectiveMode({ mode, diff }: ModeFields): BranchMode {
  if (mode !== undefined) return mode;
  return diff === true ? 'diff' : 'live';
}

function refuseTwoModes(request: ModeFields, context: z.core.$RefinementCtx): void {
  const given = [request.mode !== undefined, request.diff === true, request.live === true];
  if (given.filter(Boolean).length > 1) {
    context.addIssue({
      code: 'custom',
      input: request,
      path: ['mode'],
      message: 'must be given once: as "mode", or as one of "diff" and "live"',
    });
  }
}
