/**
 * Whether the folders bough was given can hold what belongs there.
 *
 * It is tried in a folder of a temporary name, which says which process made it: what one left that was
 * killed is removed by the next check.
 */
import { lstat, mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { linkOrCopy, messageOf, MiB, namesIn, TEMPORARY_PREFIX, writeFileAtomic } from '../../base/index.js';
import { fail, ok, warn, type Check } from './check.js';
import { isSameProcess, processStartTicks } from '../process/process-identity.js';

/** statfs(2) types of the file systems whose pages are shared memory. */
const TMPFS_MAGIC = 0x01021994;
const RAMFS_MAGIC = 0x858458f6;
/** Followed by the process, its start and something random. */
const TRIAL_PREFIX = `${TEMPORARY_PREFIX}doctor-`;
const MIN_HOT_MIB = 1_024;
const MIN_STATE_MIB = 2_048;

/** The hot folder holds layers in memory: it must be on tmpfs, with room. */
export async function checkHotDir(hotDir: string): Promise<Check> {
  const name = 'hot folder';
  const unusable = await whyNotWritable(hotDir);
  if (unusable !== undefined) return fail(name, unusable, 'Choose another with --hot-dir');
  const { type, bavail, bsize } = await statfs(await existingAncestor(hotDir));
  if (type === RAMFS_MAGIC)
    return fail(name, `${hotDir} is on ramfs`, 'Choose a folder on tmpfs with --hot-dir');
  if (type !== TMPFS_MAGIC)
    return fail(name, `${hotDir} is not on tmpfs`, 'Choose a folder on tmpfs with --hot-dir');
  return roomCheck(name, hotDir, bavail * bsize, MIN_HOT_MIB);
}

/** The state and cache folders hold what survives; renames and hard links must work inside them. */
export async function checkDurableDir(name: string, dir: string): Promise<Check> {
  const unusable = await whyNotWritable(dir);
  if (unusable !== undefined)
    return fail(name, unusable, 'Choose another folder, or change its owner or mode');
  const { type, bavail, bsize } = await statfs(await existingAncestor(dir));
  if (type === TMPFS_MAGIC)
    return warn(name, `${dir} is on tmpfs`, 'Nothing in it survives a reboot; choose a disk');
  return roomCheck(name, dir, bavail * bsize, MIN_STATE_MIB);
}

function roomCheck(name: string, dir: string, freeBytes: number, neededMiB: number): Check {
  const freeMiB = Math.floor(freeBytes / MiB);
  const found = `${dir}, ${freeMiB} MiB free`;
  return freeMiB >= neededMiB ? ok(name, found) : warn(name, found, `Make room: ${neededMiB} MiB or more`);
}

/**
 * Tries what the store does: write, rename and link. A folder that is not there yet is tried where it would
 * be made.
 */
async function whyNotWritable(dir: string): Promise<string | undefined> {
  try {
    const folder = await existingAncestor(dir);
    await removeOldTrials(folder);
    const startTicks = await processStartTicks(process.pid);
    const trial = await mkdtemp(join(folder, `${TRIAL_PREFIX}${process.pid}-${startTicks ?? 0}-`));
    try {
      await mkdir(join(trial, 'sub'));
      await writeFileAtomic(join(trial, 'file'), 'x', { durable: true });
      const how = await linkOrCopy(join(trial, 'file'), join(trial, 'sub', 'link'));
      return how === 'linked' ? undefined : `${dir} has no hard links`;
    } finally {
      await rm(trial, { recursive: true, force: true });
    }
  } catch (error) {
    return `${dir} cannot be written: ${messageOf(error)}`;
  }
}

/**
 * Removes what checks of this user left that were killed; what cannot be removed stays. The folder may be one
 * that everybody writes to: what belongs to somebody else, who could change it meanwhile, is not touched.
 */
async function removeOldTrials(folder: string): Promise<void> {
  const names = await namesIn(folder).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(TRIAL_PREFIX))) {
    const path = join(folder, name);
    const [pid = '', startTicks = ''] = name.slice(TRIAL_PREFIX.length).split('-');
    const owner = await lstat(path).catch(() => undefined);
    if (owner?.uid !== process.getuid?.() || (await isSameProcess(Number(pid), Number(startTicks)))) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function existingAncestor(dir: string): Promise<string> {
  const exists = await statfs(dir).then(
    () => true,
    () => false,
  );
  return exists || dir === dirname(dir) ? dir : existingAncestor(dirname(dir));
}
