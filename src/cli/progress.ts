/**
 * A line on the terminal for as long as something takes, with the seconds so far. Nothing where nobody watches, and nothing for what is
 * done at once.
 *
 * The spinners of npm end the process at an interrupt, while we have a sandbox to remove.
 */

import { formatDuration } from './format.js';
import type { Io } from './io.js';

const TICK_MS = 1_000;
const ERASE_LINE = '\r\x1b[K';

/** Does `work` while `what` is shown. */
export async function withProgress<T>(
  io: Pick<Io, 'stderr' | 'isTerminal' | 'env'>,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  if (!io.isTerminal || io.env['TERM'] === 'dumb') return work();
  const begunMs = performance.now();
  const timer = setInterval(() => {
    io.stderr(`${ERASE_LINE}${what} … ${formatDuration((performance.now() - begunMs) / 1000)}`);
  }, TICK_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (performance.now() - begunMs >= TICK_MS) io.stderr(ERASE_LINE);
  }
}
