/** What happens to sandboxes, from an id on. */

import type { EventGap, SandboxEvent } from '../contract/v1/events.js';
import { NDJSON_TYPE } from '../contract/v1/stream-types.js';
import { linesOf } from './lines.js';
import { reconnected, type StreamOptions } from './reconnect.js';
import type { Transport } from './transport.js';

/**
 * Where events begin.
 *
 * @example
 * ```ts
 * await bough.spawn('base', { name: 'one' });
 * const all: EventRange = { from: 'oldest' };
 * for await (const told of bough.events(all)) {
 *   if (told.event === 'created') console.log(told.name); // one
 *   if (told.event === 'running') break;
 * }
 * ```
 */
export interface EventRange {
  /** The id of the last event that was seen, or `oldest` for all there are. Default: what happens from now on. */
  readonly from?: string | undefined;
}

/** Events of all sandboxes, or of the one of that id; those of one end with `ended`. */
export function eventsOf(
  transport: Transport,
  sandboxId: string | undefined,
  { from }: EventRange,
  options: StreamOptions,
): AsyncGenerator<SandboxEvent | EventGap, void, undefined> {
  let seen = from;
  const open = async (): Promise<AsyncIterable<SandboxEvent | EventGap>> => {
    const query = { from: seen };
    const chunks = await (sandboxId === undefined
      ? transport.stream('events', NDJSON_TYPE, { ...options, query })
      : transport.stream('sandboxEvents', NDJSON_TYPE, { ...options, params: { id: sandboxId }, query }));
    return (async function* () {
      for await (const event of linesOf('events', chunks)) {
        seen = event.id;
        yield event;
      }
    })();
  };
  const isLast = ({ event }: SandboxEvent | EventGap): boolean =>
    sandboxId !== undefined && event === 'ended';
  return reconnected({ open, isLast, url: transport.url, mayBeOver: sandboxId !== undefined }, options);
}
