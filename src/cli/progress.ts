/**
 * A line on the terminal for as long as something takes: what is done, how far it is where bytes are counted, and the seconds so far. Nothing
 * where nobody watches, and nothing for what is done at once.
 *
 *   taking in base.bough … [#########           ] 45 %, 540.0 MiB of 1.2 GiB, 12 s
 *
 * The spinners and bars of npm end the process at an interrupt, while we have a sandbox to remove.
 */

import { formatBytes, formatDuration } from './format.js';
import type { Io } from './io.js';

const TICK_MS = 1_000;
const ERASE_LINE = '\r\x1b[K';
const BAR_CHARACTERS = 20;

/** A line that is longer than the terminal is wide ends at its edge: more lines than one could not be taken back. */
const [NO_WRAP, WRAP] = ['\x1b[?7l', '\x1b[?7h'];

/** What the work may tell. */
export interface Progress {
  /** What is done now, in place of what was. */
  readonly doing: (what: string) => void;
  /** So many of these bytes have moved; in a bar where it is known how many there are. */
  readonly moved: (bytes: number, totalBytes?: number) => void;
  /** The same pieces, counted while they pass; of how many may be known when the first does. */
  readonly counted: (
    pieces: AsyncIterable<Uint8Array>,
    totalBytes?: () => number | undefined,
  ) => AsyncIterable<Uint8Array>;
}

/** Does `work` while that is shown of it. */
export async function withProgress<T>(
  io: Pick<Io, 'stderr' | 'isTerminal' | 'env'>,
  begun: string,
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  let [what, far] = [begun, ''];
  const doing = (now: string): void => void ([what, far] = [now, '']);
  const moved: Progress['moved'] = (bytes, totalBytes) => void (far = `${howFar(bytes, totalBytes)}, `);
  async function* counted(
    pieces: AsyncIterable<Uint8Array>,
    totalBytes?: () => number | undefined,
  ): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const piece of pieces) {
      bytes += piece.length;
      moved(bytes, totalBytes?.());
      yield piece;
    }
    // What is still to be done is done elsewhere.
    far = '';
  }
  if (!io.isTerminal || io.env['TERM'] === 'dumb') return work({ doing, moved, counted });
  const begunMs = performance.now();
  const timer = setInterval(() => {
    const line = `${what} … ${far}${formatDuration((performance.now() - begunMs) / 1000)}`;
    io.stderr(`${ERASE_LINE}${NO_WRAP}${line}${WRAP}`);
  }, TICK_MS);
  try {
    return await work({ doing, moved, counted });
  } finally {
    clearInterval(timer);
    if (performance.now() - begunMs >= TICK_MS) io.stderr(ERASE_LINE);
  }
}

function howFar(bytes: number, totalBytes: number | undefined): string {
  const moved = formatBytes(bytes) ?? '';
  if (totalBytes === undefined || totalBytes === 0) return moved;
  const share = Math.min(1, bytes / totalBytes);
  const bar = '#'.repeat(Math.floor(share * BAR_CHARACTERS)).padEnd(BAR_CHARACTERS);
  return `[${bar}] ${Math.floor(share * 100)} %, ${moved} of ${formatBytes(totalBytes) ?? ''}`;
}
