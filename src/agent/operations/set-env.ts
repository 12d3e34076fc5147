/** set_env: adds to the environment of what the guest starts from now on, and to that of its warm interpreter. */
import { z } from 'zod';
import { ask, DEFAULT_TIMEOUT_MS, type CallOptions, type Endpoint } from '../call.js';

const nothing = z.object({});

export async function setEnv(
  endpoint: Endpoint,
  env: Readonly<Record<string, string>>,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<void> {
  await ask(endpoint, { op: 'set_env', fields: { env }, isShort: true }, nothing, { timeoutMs, signal });
}
