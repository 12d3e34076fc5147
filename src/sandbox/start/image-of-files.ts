/** An image made of the caller's own kernel and root filesystem, which nobody built here. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { compact, messageOf } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { AGENT_PORT, KERNEL_CMDLINE, type Image } from '../../image/index.js';

const DEFAULT_MEMORY_MIB = 1024;

/** Files on this host; the caller's own. */
export interface GuestFiles {
  readonly kernel: string;
  readonly rootfs: string;
  readonly initrd?: string | undefined;
}

/** Throws `invalid_request` naming the file that cannot be read. The digest stands for path, size and time, not bytes. */
export async function imageOfFiles(files: GuestFiles): Promise<Image> {
  const kernel = await facts('kernel', files.kernel);
  const rootfs = await facts('rootfs', files.rootfs);
  const initrd = files.initrd === undefined ? undefined : await facts('initrd', files.initrd);
  const digest = createHash('sha256')
    .update(JSON.stringify([kernel, rootfs, initrd]))
    .digest('hex');
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
    kernelCmdline: KERNEL_CMDLINE,
  };
}

async function facts(field: string, path: string): Promise<{ path: string; bytes: number; mtimeMs: number }> {
  try {
    const info = await stat(path);
    if (info.isFile()) return { path, bytes: info.size, mtimeMs: info.mtimeMs };
  } catch (cause) {
    const problem = messageOf(cause);
    throw new BoughError('invalid_request', { field, problem: `cannot be read: ${problem}` }, { cause });
  }
  throw new BoughError('invalid_request', { field, problem: `is not a file: ${path}` });
}
