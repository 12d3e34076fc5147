/** What every part of one store shares, and where an entry's files are right now. */
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LimitFunction } from 'p-limit';
import { errorCode, linkOrCopy, sleep, withDeadline, type WorkSet } from '../base/index.js';
import type { Catalog, Entry, StoredEntry } from './catalog.js';
import type { TierFolder } from './tier/folders.js';
import type { Space } from './tier/space.js';
import type { VerifiedFiles } from './tier/verified.js';
import type { Emit } from '../contract/index.js';

/** One open store's parts. */
export interface StoreContext {
  readonly hot: TierFolder;
  readonly durable: TierFolder;
  readonly hotSpace: Space;
  readonly durableSpace: Space;
  /** Frees durable room, as far as possible. */
  readonly makeDurableRoom: () => Promise<unknown>;
  /** Has others let go of layers they could do without. */
  readonly makeHotRoom: () => Promise<unknown>;
  readonly catalog: Catalog;
  readonly verified: VerifiedFiles;
  /** By disk id, the digest of each disk that an fsync of this process failed on: its bytes may be lost. */
  readonly unsyncedDisks: Map<string, string>;
  readonly emit: Emit;
  readonly hotBudgetBytes: number;
  /** Paths of temporary files and folders that this process is using. */
  readonly underWay: Set<string>;
  /** Aborted by `close()`. */
  readonly closing: AbortSignal;
  /** One snapshot at a time goes to disk: the next one finds its ancestors there and links them. */
  readonly persistQueue: LimitFunction;
  /** Live captures: a merge lets them go first. */
  readonly captures: WorkSet;
  /** These and merges: whoever copies to disk lets them go first. */
  readonly urgent: WorkSet;
  /** Background work that `close()` waits for. */
  readonly running: WorkSet;
}

const LONGEST_WAIT_MS = 100;
/** So many snapshots behind, copies to disk wait for nobody: where somebody always branches, memory is not to fill with them. */
export const LAGGING_SNAPSHOTS = 16;

/** What is made is to be told of, too, before others go on. */
const ANSWER_MS = 50;

/** Lets `work` go before copies to disk. */
export function goFirst({ urgent }: Pick<StoreContext, 'urgent'>, work: Promise<unknown>): void {
  urgent.add(work.then(() => sleep(ANSWER_MS)));
}

interface Giving {
  readonly urgent: WorkSet;
  readonly persistQueue: Pick<LimitFunction, 'pendingCount'>;
}

/** Resolves when nothing urgent is under way, or it takes long. */
export async function giveWay({ urgent, persistQueue }: Giving): Promise<void> {
  if (persistQueue.pendingCount < LAGGING_SNAPSHOTS) await yieldTo(urgent);
}

/** Resolves when nothing of it is under way, or it takes long. */
export async function yieldTo(first: WorkSet): Promise<void> {
  if (first.size > 0)
    await withDeadline(first.settled(), LONGEST_WAIT_MS, 'What goes first').catch(() => undefined);
}

/** A snapshot's folder in the hot tier. */
export const hotFolder = (context: StoreContext, entry: StoredEntry): string =>
  context.hot.snapshot(entry.tag);

/** Where a snapshot keeps its files in the durable tier: its final folder, or until it is durable its `.ready-` folder. */
export function durableFolder(context: StoreContext, entry: StoredEntry): string {
  return entry.durable ? context.durable.snapshot(entry.tag) : context.durable.ready(entry.id);
}

/** The folder a listing names. */
export function listedFolder(context: StoreContext, entry: Entry): string {
  const tier = entry.kind === 'stored' && !entry.durable ? context.hot : context.durable;
  return tier.snapshot(entry.tag);
}

/**
 * Hard-links one of a snapshot's disk files to `destinationOf` its tier; returns where it went.
 * Persisting may move the file from one folder to the next while this looks for it, hence the second round.
 */
export async function linkDisk(
  context: StoreContext,
  entry: StoredEntry,
  file: string,
  destinationOf: (tier: 'hot' | 'durable') => string,
): Promise<string> {
  for (let round = 0; round < 2; round += 1) {
    for (const folder of [context.durable.snapshot(entry.tag), context.durable.ready(entry.id)]) {
      const destination = destinationOf('durable');
      if (await linkIfPresent(join(folder, file), destination)) return destination;
    }
    const destination = destinationOf('hot');
    if (await linkIfPresent(join(hotFolder(context, entry), file), destination)) return destination;
  }
  throw new Error(`${file} of snapshot "${entry.tag}" is in neither tier`);
}

/** Hard-links a file; false if the source does not exist. An existing destination counts as done: objects are immutable. */
export async function linkIfPresent(source: string, destination: string): Promise<boolean> {
  try {
    await linkOrCopy(source, destination);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST') return true;
    if (code === 'ENOENT') return false;
    throw error;
  }
}

/** Removes a file or a whole folder, whether it exists or not. */
export const removeAll = (path: string): Promise<void> => rm(path, { recursive: true, force: true });

/** True if there is anything at `path`; throws for any other answer than "no such file". */
export async function fileExists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
