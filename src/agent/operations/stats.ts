/** stats: what the guest's kernel says of itself. An agent that is too old to know refuses. */
import { z } from 'zod';
import { ask, DEFAULT_TIMEOUT_MS, type CallOptions, type Endpoint } from '../call.js';

const count = z.int().nonnegative().optional();

const statsAnswer = z.object({
  cpuTimeMs: count,
  memoryTotalBytes: count,
  memoryAvailableBytes: count,
  diskTotalBytes: count,
  diskFreeBytes: count,
  networkReceivedBytes: count,
  networkSentBytes: count,
});

/** What a guest says that it uses; it may leave out anything, and lie. */
export type GuestStats = z.infer<typeof statsAnswer>;

export function guestStats(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<GuestStats> {
  return ask(endpoint, { op: 'stats', fields: {}, isShort: true }, statsAnswer, { timeoutMs, signal });
}
