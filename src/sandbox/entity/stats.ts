/** What a sandbox uses of the host, now. */
import { stat } from 'node:fs/promises';
import type { GuestStats } from '../../agent/index.js';
import { errorCode } from '../../base/index.js';
import { processUsage } from '../../vmm/index.js';
import type { Sandbox } from './sandbox.js';

const BLOCK_BYTES = 512;
const GUEST_PATIENCE_MS = 2_000;

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
  /** What the guest says of itself; absent where it does not run, or does not answer. */
  readonly guest?: GuestStats | undefined;
}

/** Throws `sandbox_not_running` where there is no VM to look at. */
export async function statsOf(sandbox: Sandbox): Promise<SandboxStats> {
  sandbox.require('measure');
  const { disks, overlay } = sandbox.record;
  const [usage, files, guest] = await Promise.all([
    processUsage(sandbox.vm.vmm.pid),
    Promise.all([...disks, overlay].map(({ path }) => diskFile(path))),
    sandbox.takes('use') ? saidBy(sandbox) : undefined,
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
    guest,
  };
}

/** To look at a sandbox is not to use it, and what one does not say is not waited for. */
async function saidBy({ agent }: Sandbox): Promise<GuestStats | undefined> {
  return agent.stats({ timeoutMs: GUEST_PATIENCE_MS }).catch(() => undefined);
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
