/**
 * Files that are handed to a VMM that runs as a user of its own, which then reaches those of its sandbox and no others.
 *
 *   tiers                               root:root     0711   who knows the way may pass; nobody can look around
 *   sandboxes/, snapshots/              root:readers  0710   the same for VMMs alone
 *   sandboxes/<id>/ and its folders     root:<own>    0710   (in the hot tier 0770 until the guest runs: QEMU makes its sockets there)
 *   memory layers, frozen disks         root:readers  0440   the same file for all that stand on it
 *   overlay, spares, RAM marker         <own>:<own>   0600
 *   what a branch writes                <own>:<own>   0600   made empty for it; root's again when it is captured
 *
 * Invariant: no folder is writable by a VMM whose guest runs. So no name in it leads elsewhere than the daemon made it to.
 *
 * Not handled: a VMM that keeps a file open for writing which it wrote itself, a layer of its own branch or its overlay before that froze. An attacker
 * in it can change those afterwards, as he could have when they were written.
 */
import { chmod, chown, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../base/index.js';
import type { VmmUser } from '../../vmm/index.js';
import { sandboxesDir, type SandboxPaths, type Tiers } from './paths.js';

const PASS_ALL = 0o711;
const PASS = 0o710;
const PASS_AND_MAKE = 0o770;
const OWN = 0o600;
const READ = 0o440;

const self = (): number => process.getuid?.() ?? 0;

/**
 * Lets VMMs through what all sandboxes share. The tiers themselves stay with our own group: systemd gives all that is in a StateDirectory back to root,
 * disks of running VMs too, when the folder is not of root's user and group.
 */
export async function openWays({ stateDir, hotDir }: Tiers, readersGid: number): Promise<void> {
  for (const root of [stateDir, hotDir]) {
    await chown(root, self(), process.getgid?.() ?? 0);
    await chmod(root, PASS_ALL);
    for (const folder of [sandboxesDir(root), join(root, 'snapshots')]) await letPass(folder, readersGid);
  }
}

export interface GivenFiles {
  /** That it may write to. */
  readonly own: readonly string[];
  /** That it may read. */
  readonly shared: readonly string[];
}

/** Lets a VMM into its sandbox's folders. It may make files in the hot one until `closeGround`. */
export async function giveGround(paths: SandboxPaths, user: VmmUser): Promise<void> {
  for (const root of [paths.stateDir, paths.hotDir])
    for (const folder of [root, join(root, 'disk'), join(root, 'layers')])
      await letPass(folder, user.uid).catch(ignoreMissing);
  await chmod(paths.hotDir, PASS_AND_MAKE);
}

export async function giveFiles({ own, shared }: GivenFiles, user: VmmUser): Promise<void> {
  for (const path of own) await giveFile(path, user);
  for (const path of shared) await letRead(path, user);
}

/** Call it before the guest runs. */
export function closeGround({ hotDir }: SandboxPaths): Promise<void> {
  return chmod(hotDir, PASS);
}

/** A copy for a VMM, of a file that others use. */
export async function readableCopy(path: string, copy: string, user: VmmUser): Promise<string> {
  await copyFile(path, copy);
  await letRead(copy, user);
  return copy;
}

/** From here on only this VMM writes to it. */
export async function giveFile(path: string, { uid }: VmmUser): Promise<void> {
  await chown(path, uid, uid);
  await chmod(path, OWN);
}

/** From here on nobody writes to it, and every VMM reads it that finds the way. */
export async function letRead(path: string, { readersGid }: VmmUser): Promise<void> {
  await chown(path, self(), readersGid);
  await chmod(path, READ);
}

async function letPass(folder: string, gid: number): Promise<void> {
  await chown(folder, self(), gid);
  await chmod(folder, PASS);
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error;
}
