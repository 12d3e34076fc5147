/**
 * From `ready` to `durable`: a snapshot's files go to disk, and the folder becomes visible by one rename after all of them did.
 *
 * The idea: an object that another durable snapshot has is linked where that is possible, anything else is copied from the hot tier. The `.ready-<id>`
 * folder, which holds the disk files since `publish`, is completed and renamed. An attempt starts from scratch: files of an attempt
 * that was cut short are removed first, because nothing says how much of them is true. One that failed is followed by another a minute
 * later (`persistAgain`), or by the next daemon's.
 *
 * An fsync that failed is never repeated on the same file: the kernel tells of lost bytes once. A disk file that was there before is
 * copied then, and must still have the digest it had before. Not handled: a daemon that ends between that failure and the next attempt.
 */
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, failpoint, fsyncPath, linkIfPossible } from '../../base/index.js';
import { PersistAttempt, type StoredEntry } from '../catalog.js';
import { fileExists, giveWay, hotFolder, removeAll, type StoreContext } from '../context.js';
import { copyLayer, copyWholeFile, layerDigest } from '../format/copy.js';
import { copyDisk, diskDigest, kindOfDigest } from '../format/disk-digest.js';
import { IntegrityError, NotDurable } from '../errors.js';
import { MANIFEST_CHECKSUM_FILE, MANIFEST_FILE, writeManifest } from '../format/manifest-file.js';
import {
  MANIFEST_VERSION,
  MEMORY_FILE,
  VMSTATE_FILE,
  type Manifest,
  type ManifestDisk,
  type ManifestLayer,
} from '../format/manifest.js';

/** A disk file on its way, in the staging folder: it gets its name when it is whole, since a lease may link it from then on. */
const UNFINISHED_DISK_FILE = 'disk-unfinished';

/** Persists in the background; `entry.persist` tells how it goes. */
export function schedulePersist(context: StoreContext, entry: StoredEntry): void {
  const attempt = entry.persist;
  const signal = AbortSignal.any([context.closing, attempt.abort.signal]);
  const isAborted = (): boolean => signal.aborted;
  const settle = async (error: unknown): Promise<void> => {
    const reason = await context.durableSpace.explain(error);
    attempt.error = reason instanceof Error ? reason : new Error('Persisting failed', { cause: reason });
    attempt.ended.reject(isAborted() ? attempt.error : new NotDurable(entry.tag, attempt.error));
    entry.durableReservation?.release();
  };
  // Whoever deletes a snapshot that is still queued must not wait for those before it.
  signal.addEventListener('abort', () => void (attempt.isRunning || settle(signal.reason)), { once: true });
  if (isAborted()) void settle(signal.reason);
  const run = async (): Promise<void> => {
    if (isAborted()) return;
    attempt.isRunning = true;
    try {
      await persist(context, entry, signal);
      attempt.ended.resolve();
      entry.durableReservation?.release();
    } catch (error) {
      if (!isAborted()) {
        context.emit('snapshot.not-durable', { tag: entry.tag, err: error });
        await removeCopies(context.durable.ready(entry.id)).catch(() => undefined);
        entry.memoryIsDurable = false;
      }
      await settle(error);
    }
  };
  context.running.add(context.persistQueue(run));
}

/** Makes another attempt if the last one failed, and not for damage, which stays. */
export function persistAgain(context: StoreContext, entry: StoredEntry): void {
  const { error } = entry.persist;
  if (error === undefined || error instanceof IntegrityError) return;
  if (entry.deleting || context.closing.aborted) return;
  entry.persist = new PersistAttempt();
  schedulePersist(context, entry);
}

async function persist(context: StoreContext, entry: StoredEntry, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const staging = context.durable.ready(entry.id);
  await failpoint('persist.started');
  await removeCopies(staging, entry.memoryIsDurable);
  await mkdir(join(staging, 'layers'), { mode: 0o700 });
  await failpoint('persist.cleared');
  const layers: ManifestLayer[] = [];
  for (const layer of entry.manifest.layers) layers.push(await persistLayer(context, entry, layer, signal));
  await failpoint('persist.layers-copied');
  const disks: ManifestDisk[] = [];
  for (const disk of entry.manifest.disks) disks.push(await persistDisk(context, entry, disk, signal));
  await failpoint('persist.disks-copied');
  const vmstate = await persistVmstate(context, entry, signal);
  await failpoint('persist.vmstate-copied');
  const manifest: Manifest = { ...entry.manifest, version: MANIFEST_VERSION, layers, disks, vmstate };
  await writeManifest(staging, manifest, true);
  await failpoint('persist.described');
  for (const folder of ['layers', 'disk', '']) await fsyncPath(join(staging, folder));
  await failpoint('persist.synced');
  signal.throwIfAborted();
  const named = context.durable.snapshot(entry.tag);
  await rename(staging, named);
  try {
    await failpoint('persist.renamed');
    await fsyncPath(context.durable.snapshots);
    await failpoint('persist.rename-synced');
  } catch (error) {
    // Back to where the next attempt begins.
    await rename(named, staging).catch(() => undefined);
    throw error;
  }
  entry.manifest = manifest;
  entry.durable = true;
  // Disk files are read from the durable tier from now on; whoever uses the hot tail has a link of its own.
  try {
    await removeAll(join(hotFolder(context, entry), 'disk'));
    await failpoint('persist.tail-removed');
  } catch (error) {
    context.emit('hot-copy.left', { tag: entry.tag, err: error });
  }
  context.emit('snapshot.durable', { tag: entry.tag });
}

async function persistLayer(
  context: StoreContext,
  entry: StoredEntry,
  layer: ManifestLayer,
  signal: AbortSignal,
): Promise<ManifestLayer> {
  const destination = join(context.durable.ready(entry.id), layer.file);
  for (const holder of context.catalog.holdersOf(`layer ${layer.id}`)) {
    const held = holder.manifest.layers.find((candidate) => candidate.id === layer.id);
    if (!holder.durable || held?.sha256 === undefined) continue;
    if (await linkFrom(join(context.durable.snapshot(holder.tag), held.file), destination)) {
      return { ...layer, sha256: held.sha256 };
    }
  }
  const source = join(hotFolder(context, entry), layer.file);
  const copy = { path: destination, durable: true, mode: 0o400, giveWay: () => giveWay(context) };
  const isThere = entry.memoryIsDurable && layer.file === MEMORY_FILE;
  if (isThere) await chmod(destination, 0o400);
  const sha256 = isThere
    ? await layerDigest(source, layer.runs, signal)
    : await copyLayer(source, layer, copy, signal);
  if (layer.sha256 !== undefined && layer.sha256 !== sha256) {
    throw new IntegrityError(entry.tag, layer.file, 'does not match its digest');
  }
  await context.verified.remember(source, sha256);
  return { ...layer, sha256 };
}

async function persistDisk(
  context: StoreContext,
  entry: StoredEntry,
  disk: ManifestDisk,
  signal: AbortSignal,
): Promise<ManifestDisk> {
  const destination = join(context.durable.ready(entry.id), disk.file);
  const hotSource = join(hotFolder(context, entry), disk.file);
  if (!(await fileExists(hotSource))) {
    const sha256 = await persistFrozenDisk(context, entry, disk, signal);
    return { ...disk, sha256 };
  }
  await rm(destination, { force: true });
  for (const holder of context.catalog.holdersOf(`disk ${disk.id}`)) {
    const held = holder.manifest.disks.find((candidate) => candidate.id === disk.id);
    if (!holder.durable || held?.sha256 === undefined || held.bytes !== disk.bytes) continue;
    if (await linkFrom(join(context.durable.snapshot(holder.tag), held.file), destination)) {
      return { ...disk, sha256: held.sha256 };
    }
  }
  const unfinished = join(context.durable.ready(entry.id), UNFINISHED_DISK_FILE);
  const sha256 = await copyDisk(hotSource, { path: unfinished, durable: true }, 'sparse', signal);
  await rename(unfinished, destination);
  await context.verified.remember(destination, sha256, 'sparse');
  return { ...disk, sha256 };
}

/** A disk file that nobody writes any more and that is in the staging folder already; returns its digest. */
async function persistFrozenDisk(
  context: StoreContext,
  entry: StoredEntry,
  { id, file, sha256: known }: ManifestDisk,
  signal: AbortSignal,
): Promise<string> {
  const path = join(context.durable.ready(entry.id), file);
  const digestBefore = context.unsyncedDisks.get(id);
  if (digestBefore === undefined) {
    const compute = (): Promise<string> => diskDigest(path, 'sparse', signal);
    const sha256 = known ?? (await context.verified.digestOf(path, compute, 'sparse'));
    try {
      await fsyncPath(path);
    } catch (error) {
      context.unsyncedDisks.set(id, sha256);
      throw error;
    }
    return sha256;
  }
  const unfinished = join(context.durable.ready(entry.id), UNFINISHED_DISK_FILE);
  const kind = kindOfDigest(digestBefore);
  const sha256 = await copyDisk(path, { path: unfinished, durable: true }, kind, signal);
  if (sha256 !== digestBefore) throw new IntegrityError(entry.tag, file, 'does not match its digest');
  await rename(unfinished, path);
  await context.verified.remember(path, sha256, kind);
  return sha256;
}

async function persistVmstate(
  context: StoreContext,
  entry: StoredEntry,
  signal: AbortSignal,
): Promise<Manifest['vmstate']> {
  const { vmstate } = entry.manifest;
  const destination = {
    path: join(context.durable.ready(entry.id), VMSTATE_FILE),
    durable: true,
    mode: 0o400,
  };
  const sha256 = await copyWholeFile(join(hotFolder(context, entry), VMSTATE_FILE), destination, signal);
  if (sha256 !== vmstate.sha256)
    throw new IntegrityError(entry.tag, VMSTATE_FILE, 'does not match its digest');
  return { ...vmstate, sha256 };
}

/** Hard-links an object that is on disk. False where it is gone or can only be copied, which takes an fsync of its own. */
async function linkFrom(source: string, destination: string): Promise<boolean> {
  try {
    return await linkIfPossible(source, destination);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Removes everything of an earlier attempt; what was there before any attempt (disk files, an fsynced layer) stays. */
async function removeCopies(staging: string, keepMemory = false): Promise<void> {
  const copies = [MEMORY_FILE, VMSTATE_FILE, MANIFEST_FILE, MANIFEST_CHECKSUM_FILE, 'layers'];
  for (const name of [...copies, UNFINISHED_DISK_FILE]) {
    if (!(keepMemory && name === MEMORY_FILE)) await removeAll(join(staging, name));
  }
}
