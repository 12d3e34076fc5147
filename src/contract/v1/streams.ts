/**
 * What a guest prints, as a stream: the frames of the agent's protocol as they are, or a JSON object a line.
 *
 * In lines, bytes that are not UTF-8 are base64 under another key. A line of type `keepalive` comes when there was nothing to say for a
 * while, and as the last one `end` or `error`: a stream without either was cut off.
 */

import { z } from 'zod';
import { bytesSchema } from '../fields.js';

const outputSchema = z.object({
  type: z.enum(['stdout', 'stderr', 'pty']),
  text: z.string().optional(),
  base64: z.string().optional().describe('instead of `text` for what is not UTF-8'),
});
const gapSchema = z.object({
  type: z.literal('gap').describe('bytes that were asked for are gone'),
  stream: z.enum(['stdout', 'stderr']),
  bytes: bytesSchema,
});
const errorSchema = z.object({
  type: z.literal('error'),
  error: z.string(),
  code: z.string().describe('of the error catalogue'),
});
const keepAliveSchema = z.object({ type: z.literal('keepalive') });

/** Lines of any stream of output; each stream adds its own. */
export const outputLineSchemas = [outputSchema, gapSchema, errorSchema, keepAliveSchema] as const;

/** A line of a streamed exec. */
export const execLineSchema = z.union([
  ...outputLineSchemas,
  z.object({ type: z.literal('end'), exit_code: z.int() }),
]);
export type ExecLine = z.infer<typeof execLineSchema>;
