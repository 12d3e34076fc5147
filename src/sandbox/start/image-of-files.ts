/** An image made of the caller's own kernel and root filesystem, which nobody built here. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { compact, messageOf } from '../../base/index.js';
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
export async function imageOfFiles(files: GuestFiles): Promise<Image> {
  const kernel = await facts('kernel', files.kernel);
  const rootfs = await facts('rootfs', files.rootfs);
  const initrd = files.initrd === undefined ? undefined : await facts('initrd', files.initrd);
  const paths = [kernel, initrd, rootfs].flatMap((file) => file?.path ?? []);
  const digests = await Promise.all(paths.map((path) => diskDigest(path, 'sparse')));
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

async function facts(field: string, path: string): Promise<{ path: string; bytes: number }> {
  try {
    const info = await stat(path);
    if (info.isFile()) return { path, bytes: info.size };
  } catch (cause) {
    const problem = messageOf(cause);
    throw new BoughError('invalid_request', { field, problem: `cannot be read: ${problem}` }, { cause });
  }
  throw new BoughError('invalid_request', { field, problem: `is not a file: ${path}` });
}
