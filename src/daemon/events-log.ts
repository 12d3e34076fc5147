/** Events as lines of the log: `msg` is the name, the level is the table's, the facts stand beside it. */
import type { FastifyBaseLogger } from 'fastify';
import { eventTable, type BoughEvent } from '../contract/index.js';

/** A subscriber that writes one line an event. */
export function intoLog(log: FastifyBaseLogger): (event: BoughEvent) => void {
  return ({ name, facts }) => log[eventTable[name].level](facts, name);
}
