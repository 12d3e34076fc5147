/**
 * What is brought here from elsewhere may be endless: layers of a kilobyte that unpack to a terabyte or to millions of files, a registry
 * that says nothing more. No size is believed beforehand; the work is given up when too little room is left for everybody else, or when
 * nothing has come for long.
 */
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, MiB, monotonicMs, startRounds, type ResourceStack } from '../base/index.js';
import { ImageBuildFailed } from './errors.js';

const ROOM_POLL_MS = 200;
const STALL_POLL_MS = 1000;

/** Of the file system, up to a gibibyte, what an image may not take; of its inodes likewise. */
const KEPT_SHARE = 0.05;
const MAX_KEPT_BYTES = 1024 * MiB;

/** Fires when the file system of that folder is nearly full. */
export function watchRoom(dir: string, undo: ResourceStack): AbortSignal {
  const full = new AbortController();
  const rounds = startRounds(ROOM_POLL_MS, async () => {
    const { bsize, blocks, bavail, files, ffree } = await statfs(dir);
    const keptBytes = Math.min(blocks * bsize * KEPT_SHARE, MAX_KEPT_BYTES);
    // Some file systems make inodes as they need them, and count none.
    const what =
      bavail * bsize < keptBytes ? 'room' : files > 0 && ffree < files * KEPT_SHARE ? 'inodes' : undefined;
    if (what !== undefined)
      full.abort(
        new ImageBuildFailed(`Cannot make the image: there is too little ${what} left for it in ${dir}`),
      );
  });
  undo.defer(() => rounds.stop());
  return full.signal;
}

/** Fires when nothing in these folders has grown for that long. */
export function watchGrowth(
  dirs: readonly string[],
  { what, stallMs }: { readonly what: string; readonly stallMs: number },
  undo: ResourceStack,
): AbortSignal {
  const stalled = new AbortController();
  let knownBytes = -1;
  let grewAtMs = monotonicMs();
  const rounds = startRounds(Math.min(STALL_POLL_MS, stallMs / 4), async () => {
    const bytes = (await Promise.all(dirs.map(bytesBelow))).reduce((sum, each) => sum + each, 0);
    if (bytes !== knownBytes) [knownBytes, grewAtMs] = [bytes, monotonicMs()];
    else if (monotonicMs() - grewAtMs > stallMs)
      stalled.abort(new ImageBuildFailed(`Cannot ${what}: nothing has come for ${stallMs / 1000} s`));
  });
  undo.defer(() => rounds.stop());
  return stalled.signal;
}

async function bytesBelow(dir: string): Promise<number> {
  const names = await readdir(dir, { withFileTypes: true }).catch(() => []);
  const sizes = names.map(async (entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? bytesBelow(path) : sizeOf(path);
  });
  return (await Promise.all(sizes)).reduce((sum, each) => sum + each, 0);
}

/** Of one that has just been renamed or removed, nothing. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
