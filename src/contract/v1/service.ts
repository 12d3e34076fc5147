/** A service in a snapshot: what is started in the guest before the capture, and how one knows that it is ready. */
import { z } from 'zod';
import { plainTextSchema } from '../fields.js';
import { READY_FORMS, readyCheck } from './ready.js';

/** The fields of a request for a snapshot that say what runs in it. */
export const serviceFields = {
  start: z
    .union([z.literal(true), z.array(plainTextSchema).min(1).max(4096)])
    .optional()
    .describe(
      "program and arguments to start in the guest and capture running; `true` is the image's own entry point and command",
    ),
  ready: plainTextSchema
    .max(4096)
    .refine((text) => readyCheck(text) !== undefined, `must be ${READY_FORMS}`)
    .optional()
    .describe(
      `when what was started is ready: ${READY_FORMS}; by default the image's health check, else its first port`,
    ),
  ready_timeout_secs: z
    .number()
    .positive()
    .max(3600)
    .optional()
    .describe('how long that may take, in seconds; 120 by default'),
};

/** Refuses what says how to know that something is ready which is not started. */
export function refuseReadyAlone(
  request: { readonly start?: unknown; readonly ready?: unknown; readonly ready_timeout_secs?: unknown },
  context: z.RefinementCtx,
): void {
  if (request.start !== undefined) return;
  for (const field of ['ready', 'ready_timeout_secs'] as const)
    if (request[field] !== undefined)
      context.addIssue({ code: 'custom', path: [field], message: 'needs "start"' });
}
