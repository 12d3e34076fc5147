/** A snapshot as one file, as it comes from the daemon, shown as it comes: packed there first, of a size that is known from then on. */

import type { Bough } from '../sdk/index.js';
import type { Progress } from './progress.js';

interface Showing {
  readonly progress: Progress;
  /** What is done while it comes. */
  readonly doing: string;
  readonly signal: AbortSignal;
}

export function exported(
  snapshots: Pick<Bough['snapshots'], 'export'>,
  tag: string,
  { progress, doing, signal }: Showing,
): AsyncIterable<Uint8Array> {
  let totalBytes: number | undefined;
  const onSize = (bytes: number): void => {
    totalBytes = bytes;
    progress.doing(doing);
  };
  return progress.counted(snapshots.export(tag, { signal, onSize }), () => totalBytes);
}
