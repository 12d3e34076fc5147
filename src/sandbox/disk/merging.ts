/**
 * Which neighbours of a stack of files are made one, so that the stack stays short and little is copied: pure.
 *
 *   64  8  8  8  8   ──▶   64  32        each is at least twice as large as all above it
 *
 * What is small is then merged often and what is large seldom: a byte is copied as often as the logarithm of how many stood above it.
 */

/** Index of the first of those to merge with all above it, two at least; sizes from the bottom to the top. */
export function mergedFrom(sizes: readonly number[]): number {
  let first = Math.max(0, sizes.length - 2);
  let mergedBytes = (sizes[first] ?? 0) + (sizes[first + 1] ?? 0);
  for (; first > 0 && (sizes[first - 1] ?? 0) < 2 * mergedBytes; first -= 1)
    mergedBytes += sizes[first - 1] ?? 0;
  return first;
}
