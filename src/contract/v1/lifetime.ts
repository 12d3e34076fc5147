/**
 * How long things stay, on the wire: the end of a sandbox's life and the retention of a snapshot, as several
 * requests have them.
 *
 * An end is given as a time from now or as a moment, never both. Asking for things to stay is always
 * explicit: without any of these fields a sandbox runs and a snapshot stays until someone removes it.
 */

import { z } from 'zod';
import { tagSchema, unixSecondsSchema } from '../fields.js';

/** Ten years: longer is a mistake in the unit. */
const maxSecs = 315_360_000;

const durationSchema = z.number().positive().max(maxSecs);

/** What happens to a sandbox at its end: removed, or branched into a durable snapshot and then removed. */
export const onEndSchema = z.enum(['kill', 'snapshot']);
export type OnEnd = z.infer<typeof onEndSchema>;

/** Fields of requests that start sandboxes, and of the one that changes when a sandbox ends. */
export const lifetimeFields = {
  timeout_secs: durationSchema.optional().describe('seconds from now until it ends'),
  end_at_unix: unixSecondsSchema.optional().describe('when it ends, in place of `timeout_secs`'),
  idle_timeout_secs: durationSchema
    .optional()
    .describe('ends it after so many seconds without exec, eval, ping, branch or fork'),
  on_end: onEndSchema
    .optional()
    .describe('`kill` (default), or `snapshot`: removed only once a durable snapshot was taken'),
  on_end_tag: tagSchema.optional().describe('name of that snapshot; made up when absent'),
};

/** A sandbox's end as a request gives it. */
export interface LifetimeRequest {
  readonly timeout_secs?: number | undefined;
  readonly end_at_unix?: number | undefined;
  readonly idle_timeout_secs?: number | undefined;
  readonly on_end?: OnEnd | undefined;
  readonly on_end_tag?: string | undefined;
}

/** Fields of requests that make snapshots. */
export const expiryFields = {
  expires_in_secs: durationSchema
    .optional()
    .describe('seconds from now until the collector may remove the snapshot'),
  expires_at_unix: unixSecondsSchema.optional().describe('the same as a moment'),
};

/** Fields of requests that branch. */
export const retentionFields = {
  ...expiryFields,
  keep_last: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe("of this sandbox's snapshots made with `keep_last`, the newest so many stay"),
};

/** A snapshot's retention as a request gives it. */
export interface RetentionRequest {
  readonly expires_in_secs?: number | undefined;
  readonly expires_at_unix?: number | undefined;
  readonly keep_last?: number | undefined;
}

/** Refuses an end that is given twice. */
export function refuseTwoEnds(request: LifetimeRequest, context: z.core.$RefinementCtx): void {
  if (request.timeout_secs === undefined || request.end_at_unix === undefined) return;
  refuse(context, request, 'end_at_unix', 'cannot be combined with "timeout_secs"');
}

/** Refuses one name for the last snapshots of several sandboxes. */
export function refuseSharedTag(
  request: LifetimeRequest,
  count: number,
  context: z.core.$RefinementCtx,
): void {
  if (request.on_end_tag === undefined || count === 1) return;
  refuse(context, request, 'on_end_tag', 'needs a single sandbox: a tag names one snapshot');
}

/** Refuses an expiry that is given twice. */
export function refuseTwoExpiries(request: RetentionRequest, context: z.core.$RefinementCtx): void {
  if (request.expires_in_secs === undefined || request.expires_at_unix === undefined) return;
  refuse(context, request, 'expires_at_unix', 'cannot be combined with "expires_in_secs"');
}

function refuse(context: z.core.$RefinementCtx, input: unknown, field: string, message: string): void {
  context.addIssue({ code: 'custom', input, path: [field], message });
}

export const timeoutRequestSchema = z
  .object({
    ...lifetimeFields,
    idle_timeout_secs: z
      .number()
      .min(0)
      .max(maxSecs)
      .optional()
      .describe('ends it after so many seconds without use; 0 for never'),
    never: z.literal(true).optional().describe('it has no end any more, apart from an idle one'),
    extend_only: z
      .boolean()
      .default(false)
      .describe('keep the present end if that is later; what has no end gets none'),
  })
  .superRefine((request, context) => {
    refuseTwoEnds(request, context);
    const { timeout_secs, end_at_unix, idle_timeout_secs, on_end, on_end_tag, never } = request;
    if (never === true && (timeout_secs !== undefined || end_at_unix !== undefined)) {
      refuse(context, request, 'never', 'cannot be combined with an end');
    }
    const given = [timeout_secs, end_at_unix, idle_timeout_secs, on_end, on_end_tag, never];
    if (given.every((field) => field === undefined)) {
      refuse(context, request, 'timeout_secs', 'is required, or another field that changes something');
    }
  });
/** Change when and how a sandbox ends; what is not given stays as it is. */
export type TimeoutRequest = z.output<typeof timeoutRequestSchema>;
export type TimeoutRequestInput = z.input<typeof timeoutRequestSchema>;
