/** An image made of the caller's own kernel and root filesystem, which nobody built here. */
import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { compact, errorCode, messageOf } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { AGENT_PORT, type Image } from '../../image/index.js';
import { diskDigest } from '../../store/index.js';

const DEFAULT_MEMORY_MIB = 1024;

/** Files on this host; the caller's own. */
export interface GuestFiles {
  readonly kernel: string;
  readonly rootfs: string;
  readonly initrd?: string | undefined;
}

/** Throws `invalid_request` naming the file that cannot be read. The digest is of the bytes of all files. */
export async function imageOfFiles(files: GuestFiles, signal?: AbortSignal): Promise<Image> {
  const kernel = await facts('kernel', files.kernel);
  const rootfs = await facts('rootfs', files.rootfs);
  const initrd = files.initrd === undefined ? undefined : await facts('initrd', files.initrd);
  const parts = [kernel, initrd, rootfs].filter((file) => file !== undefined);
  const digests = await Promise.all(
    parts.map(({ field, path }) => reading(field, () => diskDigest(path, 'sparse', signal))),
  );
  const digest = createHash('sha256').update(JSON.stringify(digests)).digest('hex');
  return {
    name: basename(rootfs.path),
    digest,
    dir: '/',
    kernelPath: kernel.path,
    ...compact({ initrdPath: initrd?.path }),
    rootfsPath: rootfs.path,
    rootfsBytes: rootfs.bytes,
    memoryMiB: DEFAULT_MEMORY_MIB,
    vcpus: 1,
    agentPort: AGENT_PORT,
    randomAddresses: false,
  };
}

interface Facts {
  readonly field: string;
  readonly path: string;
  readonly bytes: number;
}

/** Links are followed once, here: what is read later is never a link. */
async function facts(field: string, given: string): Promise<Facts> {
  const path = await reading(field, () => realpath(given));
  const info = await reading(field, () => stat(path));
  if (info.isFile()) return { field, path, bytes: info.size };
  throw new BoughError('invalid_request', { field, problem: `is not a file: ${path}` });
}

/** What is said of a path that its caller chose wrongly. */
const OF_THE_PATH = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG']);

/** Work on a file of the caller's. */
async function reading<T>(field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!OF_THE_PATH.has(errorCode(cause) ?? '')) throw cause;
    const problem = `cannot be read: ${messageOf(cause)}`;
    throw new BoughError('invalid_request', { field, problem }, { cause });
  }
}
