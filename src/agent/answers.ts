/**
 * Answers of the agent, checked: a guest may say anything, and what it says wrongly concerns its own sandbox
 * only.
 */
import { z } from 'zod';
import { AgentDeadline, AgentProtocolError, AgentRefused } from './errors.js';
import { parseObject } from './frames.js';
import { fromWire } from './wire.js';

const errorAnswer = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

export interface AnswerContext {
  readonly operation: string;
  readonly timeoutMs: number | undefined;
}

/**
 * The END frame's payload as the operation's answer; throws AgentDeadline, AgentRefused or
 * AgentProtocolError.
 */
export function readAnswer<T>(schema: z.ZodType<T>, payload: Uint8Array, context: AnswerContext): T {
  const value = parseObject(payload);
  const { operation, timeoutMs } = context;
  // An evaluation's own error is a string or null, so only the agent's is an object.
  if (typeof value['error'] === 'object' && value['error'] !== null) {
    const { code, message } = parse(errorAnswer, value, operation).error;
    if (code === 'deadline') throw new AgentDeadline(operation, timeoutMs ?? 0);
    throw new AgentRefused(operation, code, message.slice(0, 1000));
  }
  return parse(schema, fromWire(value), operation);
}

function parse<T>(schema: z.ZodType<T>, value: unknown, operation: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AgentProtocolError(
    `The guest's answer to ${operation} is wrong: ${z.prettifyError(parsed.error)}`,
  );
}
