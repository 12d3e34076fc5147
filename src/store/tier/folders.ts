/**
 * Names and places: which folder is what, in both tiers.
 *
 *     snapshots/<tag>            a snapshot
 *     snapshots/.writing-<id>    a draft                        garbage after a crash
 *     snapshots/.ready-<id>      disk files of a snapshot that is complete in the hot tier and not durable yet (durable tier only)
 *     snapshots/.loading-…       hot copies being made          garbage after a crash
 *     snapshots/.deleted-…       being unlinked                 garbage after a crash
 *     quarantine/<tag>-<id>-…    damaged, kept for a person to look at, never read again
 *     failed/<tag>.json          why a capture whose name had been given out came to nothing (hot tier only)
 *
 * Tags cannot start with a dot, so no snapshot can be mistaken for a staging folder.
 */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../base/index.js';
import { BadStoreFolder } from '../errors.js';

export const WRITING_PREFIX = '.writing-';
export const READY_PREFIX = '.ready-';
const LOADING_PREFIX = '.loading-';
const DELETED_PREFIX = '.deleted-';
const PROBE_PREFIX = '.probe-';

/** A fresh id for a snapshot and the layer it owns: 24 hex digits. */
export const newObjectId = (): string => randomBytes(12).toString('hex');

/** The file whose lock makes a process the only one that uses the folder. */
export const lockPathOf = (folder: string): string => join(folder, 'lock');

/** The paths inside one tier's folder. */
export class TierFolder {
  readonly path: string;
  readonly snapshots: string;
  readonly quarantine: string;
  readonly failed: string;
  readonly lock: string;

  constructor(path: string) {
    this.path = path;
    this.snapshots = join(path, 'snapshots');
    this.quarantine = join(path, 'quarantine');
    this.failed = join(path, 'failed');
    this.lock = lockPathOf(path);
  }

  snapshot(tag: string): string {
    return join(this.snapshots, tag);
  }
  writing(id: string): string {
    return join(this.snapshots, WRITING_PREFIX + id);
  }
  ready(id: string): string {
    return join(this.snapshots, READY_PREFIX + id);
  }
  /** A fresh name for something that will be renamed or linked from. */
  loading(id: string): string {
    return join(this.snapshots, `${LOADING_PREFIX}${id}-${randomBytes(4).toString('hex')}`);
  }
  /** A fresh name for something about to be unlinked. */
  deleted(id: string): string {
    return join(this.snapshots, `${DELETED_PREFIX}${id}-${randomBytes(4).toString('hex')}`);
  }
  /** A fresh name in quarantine. */
  quarantined(name: string): string {
    return join(this.quarantine, `${name}-${randomBytes(4).toString('hex')}`);
  }
}

/** Creates the folder if needed (0700) and refuses what it would be unsafe to keep snapshots in. */
export async function prepareTierFolder(path: string): Promise<TierFolder> {
  await prepareFolder(path);
  await probeWritable(path);
  return new TierFolder(path);
}

/**
 * Creates a folder if needed (0700). Throws BadStoreFolder for anything that leads elsewhere or that others
 * may change: a symbolic link, a folder of another user, one that others may write to.
 */
export async function prepareFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST')
      throw new BadStoreFolder(path, 'it cannot be created', { cause: error });
  }
  const stats = await lstat(path);
  if (stats.isSymbolicLink()) throw new BadStoreFolder(path, 'it is a symbolic link; name the folder itself');
  if (!stats.isDirectory()) throw new BadStoreFolder(path, 'it is not a folder');
  const uid = process.getuid?.() ?? stats.uid;
  if (stats.uid !== uid)
    throw new BadStoreFolder(path, `it belongs to uid ${stats.uid}, this process is uid ${uid}`);
  if ((stats.mode & 0o022) !== 0) {
    throw new BadStoreFolder(
      path,
      `others may write to it (mode ${(stats.mode & 0o777).toString(8)}); chmod 0700 it`,
    );
  }
}

/** Creates the sub-folders, and removes what an earlier probe may have left; call with the lock held. */
export async function prepareSubfolders(tier: TierFolder, withFailed: boolean): Promise<void> {
  const folders = [tier.snapshots, tier.quarantine, ...(withFailed ? [tier.failed] : [])];
  for (const folder of folders) await prepareFolder(folder);
  for (const name of await readdir(tier.path)) {
    if (name.startsWith(PROBE_PREFIX)) await rm(join(tier.path, name), { force: true });
  }
}

async function probeWritable(path: string): Promise<void> {
  const probe = join(path, PROBE_PREFIX + randomBytes(6).toString('hex'));
  try {
    await (await open(probe, 'wx', 0o600)).close();
    await rm(probe);
  } catch (error) {
    throw new BadStoreFolder(path, `it cannot be written to (${errorCode(error) ?? 'unknown error'})`, {
      cause: error,
    });
  }
}
