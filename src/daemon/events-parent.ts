/**
 * Events as messages to the process that started the daemon with a channel to it, as `fork` does: each is one
 * message, name and facts.
 *
 * Calls are left out, there are too many of them. A parent that has gone is not missed.
 */
import type { BoughEvent } from '../contract/index.js';

/** A subscriber that tells the parent; undefined where nobody listens. */
export function toParent(): ((event: BoughEvent) => void) | undefined {
  if (process.send === undefined) return undefined;
  return (event) => {
    if (process.connected && !event.name.startsWith('call.'))
      process.send?.(event, undefined, undefined, () => undefined);
  };
}
