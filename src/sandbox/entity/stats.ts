/** What a sandbox uses of the host, now. */
import { stat } from 'node:fs/promises';
import { errorCode } from '../../base/index.js';
import { processUsage } from '../../vmm/index.js';
import type { Sandbox } from './sandbox.js';

const BLOCK_BYTES = 512;

export interface SandboxStats {
  readonly cpuTimeMs: number;
  /** What it wrote since its snapshot, and its VMM. */
  readonly memoryUniqueBytes: number;
  /** What it uses and others may too. */
  readonly memorySharedBytes: number;
  readonly memoryPssBytes: number;
  /** Of disk files that nobody else has. */
  readonly diskUniqueBytes: number;
  readonly diskSharedBytes: number;
}

/** Throws `sandbox_not_running` where there is no VM to look at. */
export async function statsOf(sandbox: Sandbox): Promise<SandboxStats> {
  sandbox.require('measure');
  const { disks, overlay } = sandbox.record;
  const [usage, files] = await Promise.all([
    processUsage(sandbox.vm.vmm.pid),
    Promise.all([...disks, overlay].map(({ path }) => diskFile(path))),
  ]);
  const diskBytes = (isShared: boolean): number =>
    files.filter((file) => file.isShared === isShared).reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    cpuTimeMs: usage.cpuTimeMs,
    memoryUniqueBytes: usage.anonymousBytes,
    memorySharedBytes: usage.fileBytes,
    memoryPssBytes: usage.proportionalBytes,
    diskUniqueBytes: diskBytes(false),
    diskSharedBytes: diskBytes(true),
  };
}

/** Whoever shares a disk file has a link of its own to it. One that a fold has just removed takes nothing. */
async function diskFile(path: string): Promise<{ readonly bytes: number; readonly isShared: boolean }> {
  try {
    const { blocks, nlink } = await stat(path);
    return { bytes: blocks * BLOCK_BYTES, isShared: nlink > 1 };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return { bytes: 0, isShared: false };
  }
}
