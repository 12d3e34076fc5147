/**
 * Deleting and quarantining.
 *
 * A snapshot disappears by renames, first from the hot tier and then from the durable one, and is unlinked afterwards; a crash in
 * between leaves either the whole durable snapshot or garbage with a temporary name. Objects that others use are their links too.
 * One that is only in the hot tier is gone with the first rename, whatever the disk says.
 */
import { rename } from 'node:fs/promises';
import { errorCode, failpoint, fsyncPath } from '../../base/index.js';
import type { StoredEntry, WritingEntry } from '../catalog.js';
import { fileExists, removeAll, type StoreContext } from '../context.js';
import { SnapshotInUse, SnapshotNotFound, type IntegrityError } from '../errors.js';
import { removeFailed } from './failed.js';
import type { RemoveOptions } from '../store.js';

/** See `Store.delete`. */
export async function removeSnapshot(
  context: StoreContext,
  tag: string,
  options: RemoveOptions,
): Promise<void> {
  const { cascade = false, force = false } = options;
  if (cascade && force) throw new TypeError('cascade and force exclude each other');
  const entry = context.catalog.get(tag);
  if (entry.kind === 'failed') {
    context.catalog.remove(tag);
    await removeFailed(context.hot.failed, tag);
    return;
  }
  const victims = cascade ? [entry, ...context.catalog.dependentsOf(entry.id)] : [entry];
  const holders = holdersOf(context, tag, options);
  if (holders.length > 0) throw new SnapshotInUse(tag, holders);

  // Deepest first: a crash half way must not leave a child without the parent it was refused for.
  const stored = victims.filter((victim): victim is StoredEntry => victim.kind === 'stored');
  stored.sort((a, b) => b.ancestors.length - a.ancestors.length);
  for (const victim of stored) victim.deleting = true;
  try {
    for (const victim of stored) await removeStored(context, victim);
  } catch (error) {
    for (const victim of stored) victim.deleting = false;
    throw error;
  }
}

/** See `Store.holders`. */
export function holdersOf(context: StoreContext, tag: string, options: RemoveOptions): string[] {
  const { cascade = false, force = false, sandboxesOf = () => [] } = options;
  const entry = context.catalog.get(tag);
  if (entry.kind === 'failed') return [];
  const dependents = context.catalog.dependentsOf(entry.id);
  const victims = cascade ? [entry, ...dependents] : [entry];
  const holders = victims.flatMap((victim) => busyHolders(victim));
  if (!force) holders.push(...victims.flatMap((victim) => sandboxesOf(victim.tag)));
  if (!force && !cascade) holders.push(...dependents.map((dependent) => `snapshot ${dependent.tag}`));
  return [...new Set(holders)];
}

function busyHolders(entry: StoredEntry | WritingEntry): string[] {
  if (entry.kind === 'writing') return [`snapshot ${entry.tag} (being written)`];
  return [...entry.leases].map((lease) => lease.holder);
}

async function removeStored(context: StoreContext, entry: StoredEntry): Promise<void> {
  await stopPersisting(entry);
  await failpoint('delete.begun');
  const { hot, durable } = context;
  const doomed = { hot: hot.deleted(entry.id), durable: durable.deleted(entry.id) };
  // Memory is given back whatever happens; the disk only when the snapshot is gone from it for good.
  const garbage = [doomed.hot];
  // Also where persisting failed after its rename and could not take it back.
  const isOnDisk = entry.durable || (await fileExists(durable.snapshot(entry.tag)));
  try {
    await entry.hotTransition(() => renameIfPresent(hot.snapshot(entry.tag), doomed.hot));
    entry.hot = false;
    if (isOnDisk) {
      await failpoint('delete.hot-renamed');
      await renameIfPresent(durable.snapshot(entry.tag), doomed.durable);
    }
    // It is gone now: what an error leaves behind has a temporary name.
    context.catalog.remove(entry.tag);
    await failpoint('delete.renamed');
    if (isOnDisk) await fsyncPath(durable.snapshots);
    garbage.push(doomed.durable, durable.ready(entry.id));
    await failpoint('delete.synced');
  } finally {
    for (const path of garbage) {
      await removeAll(path).catch((error: unknown) =>
        context.emit('snapshot.not-unlinked', { path, err: error }),
      );
    }
  }
  await failpoint('delete.unlinked');
  context.emit('snapshot.removed', { tag: entry.tag });
}

/** Moves a damaged snapshot out of the way, keeping its durable files for inspection, and notes where they are in `damage`. */
export async function quarantineStored(
  context: StoreContext,
  entry: StoredEntry,
  damage: IntegrityError,
): Promise<void> {
  if (entry.deleting) return;
  entry.deleting = true;
  await stopPersisting(entry);
  const { hot, durable } = context;
  const kept = durable.quarantined(`${entry.tag}-${entry.id}`);
  const source = entry.durable ? durable.snapshot(entry.tag) : durable.ready(entry.id);
  try {
    await failpoint('quarantine.begun');
    if (await renameIfPresent(source, kept)) damage.quarantinedTo = kept;
  } catch (error) {
    // It is where it was: listed, and found damaged again by whoever wants to use it.
    entry.deleting = false;
    throw error;
  }
  await failpoint('quarantine.moved');
  const doomedHot = hot.deleted(entry.id);
  await entry.hotTransition(() => renameIfPresent(hot.snapshot(entry.tag), doomedHot));
  await failpoint('quarantine.hot-renamed');
  await removeAll(doomedHot);
  context.catalog.remove(entry.tag);
  context.emit('snapshot.quarantined', {
    tag: entry.tag,
    object: damage.object,
    reason: damage.problem,
    to: damage.quarantinedTo,
  });
}

async function stopPersisting(entry: StoredEntry): Promise<void> {
  entry.persist.abort.abort(new SnapshotNotFound(entry.tag));
  await entry.persist.ended.promise.catch(() => undefined);
}

/** False if there was nothing at `source`. */
export async function renameIfPresent(source: string, destination: string): Promise<boolean> {
  try {
    await rename(source, destination);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
