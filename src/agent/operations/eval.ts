/** eval: a piece of code in the image's warm interpreter. */
import { z } from 'zod';
import { ask, DEFAULT_TIMEOUT_MS, type CallOptions, type Endpoint } from '../call.js';

export interface EvalResult {
  readonly result: string | null;
  /** The code's own. */
  readonly error: string | null;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether output was left out. */
  readonly truncated: boolean;
}

/**
 * What an agent keeps of each stream; one that says nothing about more may have left out what comes after it.
 */
const KEPT_BYTES = 1 << 20;

export const evalAnswer = z.object({
  result: z.string().nullable(),
  error: z.string().nullable(),
  exitCode: z.int(),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean().optional(),
});

export async function evaluate(
  endpoint: Endpoint,
  code: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<EvalResult> {
  const answer = await ask(endpoint, { op: 'eval', fields: { code, timeoutMs } }, evalAnswer, { signal });
  const { truncated = [answer.stdout, answer.stderr].some(fillsWhatIsKept) } = answer;
  return { ...answer, truncated };
}

function fillsWhatIsKept(text: string): boolean {
  return Buffer.byteLength(text) >= KEPT_BYTES;
}
