/**
 * Keeping the hot tier under its budget: hot copies of durable snapshots which nothing runs from go, least recently used first.
 *
 * "Nothing runs from it" is what the file system says: the snapshot's own layer has one link, so no sandbox and no hot child has
 * it mapped or linked. A parent therefore goes after its children, in a later round.
 */
import type { StoredEntry } from '../catalog.js';
import type { StoreContext } from '../context.js';
import { evictHotCopy } from './hot-load.js';
import { hotLayerBytes, hotLayerFiles } from './usage.js';

/** Drops hot copies until the layers take at most `targetBytes`, or nothing more can go; returns the tags. */
export async function evict(context: StoreContext, targetBytes: number): Promise<string[]> {
  const evicted: string[] = [];
  let heldBytes = await hotLayerBytes(context);
  if (heldBytes > targetBytes) await context.makeHotRoom();
  for (let progress = true; progress && heldBytes > targetBytes;) {
    progress = false;
    const candidates = [...context.catalog.stored()].filter(isIdle);
    candidates.sort((a, b) => a.lastUsedMs - b.lastUsedMs || a.createdAtUnix - b.createdAtUnix);
    for (const entry of candidates) {
      if (heldBytes <= targetBytes) break;
      const freedBytes = await entry.hotTransition(() => evictIfUnused(context, entry));
      if (freedBytes === undefined) continue;
      heldBytes -= freedBytes;
      progress = true;
      evicted.push(entry.tag);
      context.emit('snapshot.evicted', { tag: entry.tag, freedBytes });
    }
  }
  return evicted;
}

const isIdle = (entry: StoredEntry): boolean =>
  entry.hot && entry.durable && !entry.deleting && entry.leases.size === 0;

async function evictIfUnused(context: StoreContext, entry: StoredEntry): Promise<number | undefined> {
  const files = await hotLayerFiles(context, entry);
  const own = files.at(-1);
  if (own === undefined || own.links > 1 || !isIdle(entry)) return undefined;
  await evictHotCopy(context, entry);
  return files.reduce((sum, { links, bytes }) => (links === 1 ? sum + bytes : sum), 0);
}
