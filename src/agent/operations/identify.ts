/** identify: makes a guest a machine of its own, with clock, randomness, names, secret and environment. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ask, DEFAULT_TIMEOUT_MS, type CallOptions, type Endpoint } from '../call.js';
import { AgentProtocolError } from '../errors.js';

export interface IdentifyRequest {
  /** Replaces the guest's secret, and from then on the client's. */
  readonly newSecret: string;
  /** At least 32 bytes of randomness for the guest's kernel. */
  readonly seed: Uint8Array;
  readonly unixTimeNs: bigint;
  readonly hostname?: string;
  readonly machineId?: string;
  /** Default environment of all programs. */
  readonly env?: Readonly<Record<string, string>>;
  readonly hookTimeoutMs?: number;
}

export const identifyAnswer = z.object({
  nonce: z.string(),
  hostname: z.string(),
  restored: z.boolean(),
  hook: z.union([z.object({ exitCode: z.int() }), z.object({ error: z.string() })]).nullable(),
});

export interface IdentifyResult {
  readonly hostname: string;
  /** False when a guest that had been booted was claimed. */
  readonly restored: boolean;
  /** How the image's after-restore hook ended: null when there is none. */
  readonly hook: { readonly exitCode: number } | { readonly error: string } | null;
}

const NONCE_BYTES = 16;

export async function identify(
  endpoint: Endpoint,
  request: IdentifyRequest,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<IdentifyResult> {
  const nonce = randomBytes(NONCE_BYTES).toString('hex');
  const fields = {
    ...request,
    nonce,
    seed: Buffer.from(request.seed).toString('base64'),
    unixTimeNs: String(request.unixTimeNs),
  };
  const answer = await ask(endpoint, { op: 'identify', fields, isShort: true }, identifyAnswer, {
    timeoutMs,
    signal,
  });
  if (answer.nonce !== nonce) throw new AgentProtocolError('The guest answered another identify than ours');
  const { hostname, restored, hook } = answer;
  return { hostname, restored, hook };
}
