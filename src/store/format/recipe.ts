/**
 * How a snapshot came to be of its image, so that it can be made again where it cannot be loaded.
 *
 * Only one that was booted has it. What a guest did afterwards, in a branch, is written down nowhere but in its memory.
 */
import { z } from 'zod';

const words = z.array(z.string().max(65_536)).min(1).max(4096).readonly();
const port = z.number().int().min(1).max(65_535);
const path = z.string().startsWith('/').max(65_536);

const readySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exec'), args: words }),
  z.strictObject({ kind: z.literal('tcp'), port }),
  z.strictObject({ kind: z.literal('http'), port, path }),
  z.strictObject({ kind: z.literal('file'), path }),
  z.strictObject({ kind: z.literal('log'), pattern: z.string().min(1).max(256) }),
]);

export const recipeSchema = z.strictObject({
  /** What was started in it, and how one knew that it was ready. */
  service: z
    .strictObject({ args: words, ready: readySchema, timeoutMs: z.number().positive().max(3_600_000) })
    .optional(),
  restMs: z.number().nonnegative().max(60_000).optional(),
  kernelCmdline: z.string().max(2048).optional(),
});
/** Besides the image, the machine and the network policy, which a manifest has anyway. */
export type Recipe = z.infer<typeof recipeSchema>;
