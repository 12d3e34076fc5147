/**
 * Where images are made: one temporary folder in the cache folder, renamed into place when what it holds is complete.
 *
 * One maker at a time per cache folder, whether it builds or imports; what a killed one left is removed by the next. So an image that
 * can be found is whole, and one that is not was never there.
 */
import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  anyOf,
  errorCode,
  fsyncPath,
  isNoRoom,
  lockFile,
  LockHeld,
  sleep,
  TEMPORARY_PREFIX,
  temporaryPath,
  type ResourceStack,
} from '../base/index.js';
import { ImageBuildFailed } from './errors.js';
import { runTool } from './host-tools.js';

const LOCK_POLL_MS = 500;

/** Told what is being done, a few words at each step. */
export type Progress = (step: string) => void;

/** Waits until nobody else makes images there, and removes what a killed one left; the lock is `undo`'s to give back. */
export async function takeWorkshop(
  images: string,
  undo: ResourceStack,
  onProgress: Progress,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(images, { recursive: true });
  undo.use(await waitForLock(join(images, '.lock'), onProgress, signal));
  for (const name of await readdir(images)) {
    if (name.startsWith(TEMPORARY_PREFIX)) await removeTree(join(images, name));
  }
}

/** Work in that folder; where it finds no room, that is why there is no image. */
export async function orNoRoom<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!isNoRoom(errorCode(cause))) throw cause;
    throw new ImageBuildFailed(`Cannot make the image: there is no room left for it in ${dir}`, { cause });
  }
}

/** A folder to make an image in, which goes with `undo`. */
export async function makeWorkFolder(images: string, name: string, undo: ResourceStack): Promise<string> {
  const workDir = temporaryPath(join(images, name));
  undo.defer(() => removeTree(workDir));
  await mkdir(workDir);
  return workDir;
}

/** A folder of that name holds the same bytes, made by another recipe perhaps: what is new about it is image.json. */
export async function putInPlace(made: string, dir: string): Promise<void> {
  for (const name of await readdir(made)) await fsyncPath(join(made, name));
  await fsyncPath(made);
  try {
    await rename(made, dir);
  } catch (error) {
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    await rename(join(made, 'image.json'), join(dir, 'image.json'));
  }
  await fsyncPath(dirname(dir));
}

/** Never crosses into another file system: an interrupted build might have left something of the host mounted. */
export async function removeTree(dir: string): Promise<void> {
  await runTool('rm', ['-rf', '--one-file-system', '--', dir], { what: `remove ${dir}` });
}

/** SIGINT and SIGTERM of this process end the work in good order. */
export function untilInterrupted(undo: ResourceStack, signal: AbortSignal | undefined): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const onSignal = (): void => interrupted.abort(new ImageBuildFailed(`Interrupted by ${name}`));
    // Not once(): execa takes a signal without other listeners for one that nobody handles, and ends the process.
    process.on(name, onSignal);
    undo.defer(() => process.off(name, onSignal));
  }
  return anyOf(interrupted.signal, signal);
}

async function waitForLock(
  path: string,
  onProgress: Progress,
  signal: AbortSignal,
): Promise<{ close(): Promise<void> }> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await lockFile(path);
    } catch (error) {
      if (!(error instanceof LockHeld)) throw error;
      if (attempt === 0) onProgress(`Waiting for process ${error.holder}, which makes an image`);
      await sleep(LOCK_POLL_MS, signal);
    }
  }
}
