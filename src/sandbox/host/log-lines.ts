/**
 * The lines of a log that somebody else appends to, as bytes: what is there, and with `follow` what comes, until the signal fires or the
 * log's folder is gone.
 *
 * A log that was begun anew is read on from its beginning. Not handled: what was written to the old one since it was last looked at.
 */
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, sleep } from '../../base/index.js';

const CHUNK_BYTES = 64 * 1024;
const LOOK_MS = 200;

export async function* linesOf(
  path: string,
  { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  let at = { inode: 0, offset: 0 };
  for (;;) {
    for (let piece = await pieceOf(path, at); piece !== undefined; piece = await pieceOf(path, at)) {
      at = piece.next;
      yield piece.bytes;
    }
    if (!follow || signal.aborted || (await isGone(dirname(path)))) return;
    await sleep(LOOK_MS, signal).catch(() => undefined);
  }
}

interface Place {
  readonly inode: number;
  readonly offset: number;
}

/** What stands at the place, in whole lines as far as they fit; undefined if nothing does. */
async function pieceOf(path: string, at: Place): Promise<{ bytes: Uint8Array; next: Place } | undefined> {
  const file = await open(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { ino: inode } = await file.stat();
    const offset = inode === at.inode ? at.offset : 0;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, offset);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
    return end === 0 ? undefined : { bytes: buffer.subarray(0, end), next: { inode, offset: offset + end } };
  } finally {
    await file.close();
  }
}

async function isGone(folder: string): Promise<boolean> {
  return stat(folder).then(
    () => false,
    (error: unknown) => errorCode(error) === 'ENOENT',
  );
}
