/** Changes of the guest's files, told as they happen until the caller goes. What was not told is said. */
import { z } from 'zod';
import type { Endpoint } from '../call.js';
import { FrameKind } from '../frames.js';
import { answerOf, eventOf, fieldsOf, framesSoon, type FileSubject } from './files.js';

const path = z.base64().transform((text) => Buffer.from(text, 'base64'));

const change = z.object({
  type: z.enum(['created', 'written', 'removed', 'metadata']),
  path,
  folder: z.boolean().default(false),
});
const newsEvent = z.union([
  z.object({ watching: z.int().positive() }),
  z.object({ changes: z.array(change) }),
  z.object({ missed: z.literal(true) }),
  z.object({ unwatched: path }),
]);
const nothing = z.object({});

/** What may be told of what is watched; paths are below it. */
export type WatchNews =
  /** From here on every change is told. */
  | { readonly type: 'watching'; readonly folders: number }
  | {
      readonly type: 'created' | 'written' | 'removed' | 'metadata';
      readonly path: Buffer;
      readonly isFolder: boolean;
    }
  /** Some changes were not told: too many, or the reader too slow. */
  | { readonly type: 'missed' }
  /** Changes in that folder are not told: there are too many folders. */
  | { readonly type: 'unwatched'; readonly path: Buffer };

export async function* watchFiles(
  endpoint: Endpoint,
  subject: FileSubject & { readonly recursive?: boolean | undefined },
  signal?: AbortSignal,
): AsyncGenerator<WatchNews, void, undefined> {
  for await (const frame of framesSoon(endpoint, { op: 'watch', fields: fieldsOf(subject) }, signal)) {
    if (frame.kind === FrameKind.end) answerOf(nothing, 'watch', frame.payload);
    else yield* newsIn(eventOf(newsEvent, 'watch', frame));
  }
}

function newsIn(event: z.infer<typeof newsEvent>): WatchNews[] {
  if ('watching' in event) return [{ type: 'watching', folders: event.watching }];
  if ('missed' in event) return [{ type: 'missed' }];
  if ('unwatched' in event) return [{ type: 'unwatched', path: event.unwatched }];
  return event.changes.map(({ type, path: at, folder }) => ({ type, path: at, isFolder: folder }));
}
