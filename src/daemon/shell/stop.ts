/** The end of a server: new requests are refused, running ones finish within a deadline or are aborted, then the port is closed. */
import type { Shell } from './shell.js';

const flushMs = 1_000;

/** Resolves when the port is closed. */
export async function stopShell({ app, calls, refuseNewRequests }: Shell, drainMs: number): Promise<void> {
  refuseNewRequests();
  await calls.drain(drainMs);
  // What is still open after the last answers had time to leave is idle or half a request.
  const timer = setTimeout(() => app.server.closeAllConnections(), flushMs);
  await app.close();
  clearTimeout(timer);
}
