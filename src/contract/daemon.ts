/** What the daemon says about itself, and the body of every failure. */

import { z } from 'zod';

export const healthSchema = z.looseObject({ ok: z.literal(true) });
export type Health = z.infer<typeof healthSchema>;

export const versionSchema = z.object({ version: z.string(), api: z.literal('v1') });
export type Version = z.infer<typeof versionSchema>;

/** Read it as OpenAPI says, not by this schema. */
export const openApiSchema = z.looseObject({ openapi: z.literal('3.1.0') });

export const errorBodySchema = z.object({
  error: z.string().describe('a sentence'),
  code: z.string().describe('one of the codes below'),
  details: z.record(z.string(), z.unknown()).optional(),
});
