/** set_clock: the guest's wall clock is the host's again, as after a pause. An agent that is too old to know how refuses. */
import { z } from 'zod';
import { ask, DEFAULT_TIMEOUT_MS, type CallOptions, type Endpoint } from '../call.js';

const nothing = z.object({});

export async function setClock(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<void> {
  const unixTimeNs = String(BigInt(Date.now()) * 1_000_000n);
  const operation = { op: 'set_clock', fields: { unixTimeNs }, isShort: true };
  await ask(endpoint, operation, nothing, { timeoutMs, signal });
}
