/** Handlers: events. */
import { NDJSON, SSE, type Events } from '../../contract/index.js';
import { monotonicMs } from '../../base/index.js';
import type { Host } from '../../sandbox/host/host.js';
import { EventRing, type Kept, type Missed, type RingReader } from '../event-ring.js';
import { acceptedOf } from '../rows/accepted.js';
import type { Handler, Handlers } from '../rows/handlers.js';
import { KEEP_ALIVE_MS } from '../streams/output.js';
import { asLines, asServerSent, toldOf, type EventFormat, type ToldEvent } from './event-wire.js';
import { knownForm } from './sandbox-id.js';

type Told = ToldEvent & { readonly at_unix_ms: number };

/** Handlers that tell of `events` from now on; `keepAliveMs` is for tests. */
export function eventHandlers(
  host: Host,
  events: Events,
  keepAliveMs = KEEP_ALIVE_MS,
): Pick<Handlers, 'events' | 'sandboxEvents'> {
  const ring = new EventRing<Told>();
  events.subscribe((event) => {
    for (const told of toldOf(event)) ring.push({ ...told, at_unix_ms: Date.now() });
  });
  const streamOf = (
    { query, headers }: Pick<Parameters<Handler<'events'>>[0], 'query' | 'headers'>,
    signal: AbortSignal,
    sandbox: OfOne = {},
  ): ReturnType<Handler<'events'>> => {
    const isServerSent = acceptedOf([SSE], headers.accept) !== undefined;
    const lastSeen = query.from ?? lastEventId(headers['last-event-id']);
    const how = { format: isServerSent ? asServerSent : asLines, keepAliveMs, ...sandbox };
    return { type: isServerSent ? SSE : NDJSON, bytes: written(ring.reader(lastSeen), how, signal) };
  };
  return {
    events: (asked, { signal }) => streamOf(asked, signal),
    sandboxEvents: async (asked, call) => {
      const named = knownForm(asked.params);
      const isGone = ring.some(({ sandbox, event }) => sandbox === named && event === 'ended');
      const id = isGone ? named : (await host.getSandbox(named, call)).id;
      return streamOf(asked, call.signal, { id, isGone });
    },
  };
}

/** A browser sends back whatever it was given last; what never was an id of ours is as one of an earlier daemon. */
const lastEventId = (header: string | string[] | undefined): string | undefined =>
  header === undefined || header === '' ? undefined : String(header);

/** Events of one sandbox alone; of one that is gone nothing can come any more. */
interface OfOne {
  readonly id?: string;
  readonly isGone?: boolean;
}

interface Writing extends OfOne {
  readonly format: EventFormat;
  readonly keepAliveMs: number;
}

async function* written(
  reader: RingReader<Told>,
  { format, keepAliveMs, id, isGone = false }: Writing,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let wroteMs = monotonicMs();
  // So that the head of the answer leaves at once.
  yield Buffer.from(format.keepAlive);
  while (!signal.aborted) {
    // Events of others are no sign of life for who does not hear of them.
    const found = await reader.next(isGone ? 0 : Math.max(1, wroteMs + keepAliveMs - monotonicMs()), signal);
    if (found === undefined && isGone) return;
    if (found !== undefined && isOf(found, id)) yield Buffer.from(format.entry(entryOf(found)));
    else if (monotonicMs() - wroteMs >= keepAliveMs) yield Buffer.from(format.keepAlive);
    else continue;
    wroteMs = monotonicMs();
    if (id !== undefined && found !== undefined && isEnd(found, id)) return;
  }
}

type Found = Kept<Told> | Missed;

const isOf = (found: Found, id: string | undefined): boolean =>
  'missed' in found || id === undefined || found.event.sandbox === id;

const isEnd = (found: Found, id: string): boolean =>
  'event' in found && found.event.event === 'ended' && found.event.sandbox === id;

function entryOf(found: Found): Parameters<EventFormat['entry']>[0] {
  if ('missed' in found) return { event: 'gap', id: found.id, missed: found.missed };
  const { event, ...rest } = found.event;
  return { event, id: found.id, ...rest } as Parameters<EventFormat['entry']>[0];
}
