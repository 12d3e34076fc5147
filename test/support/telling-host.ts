/** A host that tells `events` of the sandboxes that are made and removed over the API. */
import type { Events } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';

export function tellingHost<H extends Host>(host: H, events: Events): H {
  const before: Host = { ...host };
  return Object.assign(host, {
    spawn: async (...asked: Parameters<Host['spawn']>) => {
      const made = await before.spawn(...asked);
      for (const { id, snapshotTag, parent, name } of made)
        events.emit('sandbox.created', { id, snapshotTag, parent, name });
      return made;
    },
    removeSandbox: async (...asked: Parameters<Host['removeSandbox']>) => {
      await before.removeSandbox(...asked);
      events.emit('sandbox.removed', { id: asked[0] });
    },
  });
}
