/**
 * Events of sandboxes as a stream that can be taken up again: what the event table has that is of use to clients.
 *
 * Every event has an id. Who was cut off gives the last one it saw and gets what came after; what the daemon no longer has is said by one
 * `gap`, and so is a restart of the daemon, after which a client asks for lists anew.
 */
import { z } from 'zod';
import { millisecondsSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, type RouteTable } from './route.js';
import { branchModeSchema } from './snapshots.js';

export const NDJSON = 'application/x-ndjson';
export const SSE = 'text/event-stream';

const idSchema = z.string().describe('give it as `from` or `Last-Event-ID` to go on after this one');
const common = {
  id: idSchema,
  at_unix_ms: z.int().describe('when it happened, by the clock of the host'),
  sandbox: z.string().describe('id of the sandbox'),
};

export const sandboxEventSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('created').describe('it is listed from now on'),
    ...common,
    snapshot_tag: z.string(),
    parent: z.string().optional(),
    name: z.string().optional(),
  }),
  z.object({
    event: z
      .literal('running')
      .describe('its guest runs: for the first time, after a pause, or again known of'),
    ...common,
  }),
  z.object({ event: z.literal('paused').describe('its guest stands still, as it was asked to'), ...common }),
  z.object({
    event: z.literal('branched'),
    ...common,
    snapshot_tag: z.string().describe('the new snapshot'),
    mode: branchModeSchema,
    pause_ms: millisecondsSchema.optional(),
  }),
  z.object({
    event: z
      .literal('rolled_back')
      .describe('it stands at a snapshot again; programs and connections of before are gone'),
    ...common,
    snapshot_tag: z.string().describe('where it stands'),
    kept_tag: z.string().optional().describe('the checkpoint that has the state of before'),
  }),
  z.object({
    event: z.literal('warned').describe('something is not as it should be, and it is still there'),
    ...common,
    warning: z.string(),
  }),
  z.object({
    event: z.literal('failed').describe('its VM has ended by itself; it is listed until it is removed'),
    ...common,
    reason: z.string(),
  }),
  z.object({
    event: z.literal('ended').describe('it is gone; no event of it follows'),
    ...common,
    reason: z.string(),
    snapshot_tag: z.string().optional().describe('its last snapshot'),
  }),
]);
/** Something that happened to a sandbox. */
export type SandboxEvent = z.infer<typeof sandboxEventSchema>;

export const eventGapSchema = z.object({
  event: z.literal('gap').describe('events are missing here'),
  id: idSchema,
  missed: z
    .int()
    .nullable()
    .describe('how many, of all sandboxes; null when the daemon was started since and nobody knows'),
});
/** What stands in a stream where events are missing. */
export type EventGap = z.infer<typeof eventGapSchema>;

const fromSchema = z
  .string()
  .regex(/^(oldest|[a-z0-9]{1,16}-\d{1,15})$/, 'must be "oldest" or the id of an event')
  .optional()
  .describe(
    'the id after which to begin, as the header `Last-Event-ID`; `oldest` for all there are. Default: what happens from now on',
  );

const eventQuerySchema = z.strictObject({
  from: fromSchema,
});

const streamed =
  'Server-sent events for `Accept: text/event-stream`, else one JSON object a line; when nothing happens, a comment or an empty line every 15 s. Who reads too slowly finds a `gap`.';

/** Routes of events. */
export const eventRoutes = {
  events: {
    ...endpoints.events,
    kind: 'stream',
    scope: 'read',
    endless: true,
    summary: `What happens to sandboxes, as it happens. ${streamed}`,
    resource: 'daemon',
    query: eventQuerySchema,
    replies: { 200: [NDJSON, SSE] },
    errors: ['invalid_request'],
  },
  sandboxEvents: {
    ...endpoints.sandboxEvents,
    kind: 'stream',
    scope: 'read',
    endless: true,
    summary: `What happens to one sandbox; the answer ends after \`ended\`. Also of one that is gone, as long as its events are kept. ${streamed}`,
    resource: 'sandboxes',
    params: byId,
    query: eventQuerySchema,
    replies: { 200: [NDJSON, SSE] },
    errors: ['invalid_request', 'sandbox_not_found'],
  },
} as const satisfies RouteTable;
