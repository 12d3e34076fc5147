/**
 * What `docker save | gzip` gives, unpacked for skopeo: that of Debian 12 reads an archive of Docker's that is compressed by xz or zstd, and
 * not by gzip.
 */
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { errorCode, messageOf } from '../../base/index.js';
import { ImageBuildFailed } from '../errors.js';
import type { Source } from './reference.js';

const MAGIC = Buffer.from([0x1f, 0x8b]);

interface Unpacking {
  /** Where there is room for it, and where somebody watches how much is left. */
  readonly scratchDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** The source itself, unless it is such an archive. Throws ImageBuildFailed for one that is damaged. */
export async function gunzipped(source: Source, { scratchDir, signal }: Unpacking): Promise<Source> {
  const [, path = '', image = ''] = /^docker-archive:([^:]*)(.*)$/.exec(source.from) ?? [];
  if (path === '' || !(await isGzip(path))) return source;
  const unpacked = join(scratchDir, 'unpacked.tar');
  const into = createWriteStream(unpacked, { flags: 'wx', mode: 0o600 });
  try {
    await pipeline(createReadStream(path), createGunzip(), into, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    if (!errorCode(cause)?.startsWith('Z_')) throw cause;
    throw new ImageBuildFailed(`Cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
  return { ...source, from: `docker-archive:${unpacked}${image}` };
}

/** What cannot be read, or is read only once, is skopeo's. */
async function isGzip(path: string): Promise<boolean> {
  // A FIFO would keep open() until somebody writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
  const head = Buffer.alloc(MAGIC.length);
  await file?.read(head, 0, head.length, 0).catch(() => undefined);
  await file?.close();
  return head.equals(MAGIC);
}
