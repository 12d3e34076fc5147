/** Lists page by page. */

import type { CallOptions } from './transport.js';

/** The most that a page can hold. */
export const MAX_PAGE = 1000;

/**
 * Which part of a list is wanted.
 *
 * @example
 * ```ts
 * const options: PageOptions = { limit: 100 };
 * for await (const { tag } of bough.snapshots.each(options)) console.log(tag); // base
 * ```
 */
export interface PageOptions extends CallOptions {
  /** At most so many, oldest first, 1 to 1000; for `each`: so many at a time. */
  readonly limit?: number | undefined;
  /** What comes after a page: what the header `x-next-after` of it said. */
  readonly after?: string | undefined;
}

/** All items from a cursor on; `fetchPage` fetches the page after one. */
export async function* eachOf<T>(
  after: string | undefined,
  fetchPage: (
    after: string | undefined,
  ) => Promise<{ readonly items: readonly T[]; readonly next: string | undefined }>,
): AsyncGenerator<T, void, undefined> {
  let from = after;
  do {
    const { items, next } = await fetchPage(from);
    yield* items;
    from = next;
  } while (from !== undefined);
}
