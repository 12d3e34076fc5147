/**
 * ping: whether the agent answers, and how its warm interpreter is. A ping may be repeated, so waiting is
 * made of it.
 */
import { z } from 'zod';
import { monotonicMs, sleep } from '../../base/index.js';
import { ask, DEFAULT_TIMEOUT_MS, type CallOptions, type Endpoint } from '../call.js';
import { AgentDeadline, AgentRefused, AgentUnreachable } from '../errors.js';

export const pongAnswer = z.object({
  pong: z.literal(true),
  interpreter: z.enum(['none', 'starting', 'ready', 'failed']),
  uptimeSecs: z.number(),
});
export type Pong = z.infer<typeof pongAnswer>;

const READY_RETRY_MS = 50;

/**
 * A packet to a guest without a network yet is lost, so short attempts find it soonest; a loaded one needs
 * longer to answer.
 */
const FIRST_ATTEMPT_MS = 250;
const LONGEST_ATTEMPT_MS = 3_000;
const ATTEMPT_GROWTH = 1.3;

export function ping(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<Pong> {
  return ask(endpoint, { op: 'ping', fields: {}, isShort: true }, pongAnswer, { timeoutMs, signal });
}

/** Waits until an agent answers at all, if only that it wants a secret. Throws AgentDeadline. */
export async function waitReady(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<void> {
  const endMs = monotonicMs() + timeoutMs;
  for (
    let attemptMs = FIRST_ATTEMPT_MS;
    ;
    attemptMs = Math.min(attemptMs * ATTEMPT_GROWTH, LONGEST_ATTEMPT_MS)
  ) {
    const leftMs = endMs - monotonicMs();
    if (leftMs <= 0) throw new AgentDeadline('booting', timeoutMs);
    try {
      await ping(endpoint, { timeoutMs: Math.min(leftMs, attemptMs), signal });
      return;
    } catch (error) {
      if (error instanceof AgentRefused) return;
      if (!(error instanceof AgentUnreachable || error instanceof AgentDeadline)) throw error;
    }
    await sleep(READY_RETRY_MS, signal);
  }
}

/**
 * Waits until the warm interpreter has started; throws AgentRefused when it cannot, AgentDeadline when it
 * takes too long.
 */
export async function waitWarm(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<Pong> {
  const fields = { warm: true, timeoutMs };
  const pong = await ask(endpoint, { op: 'ping', fields }, pongAnswer, { signal });
  if (pong.interpreter === 'starting') throw new AgentDeadline('starting its interpreter', timeoutMs);
  if (pong.interpreter === 'failed') {
    throw new AgentRefused('to be warm', 'interpreter_failed', 'its interpreter does not start');
  }
  return pong;
}
