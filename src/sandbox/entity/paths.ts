/**
 * Where a sandbox's files are: two folders, one in each tier, named as its VM is.
 *
 *   <hotDir>/sandboxes/<id>/     sockets, the RAM marker, links to the memory layers     (gone after a reboot)
 *   <stateDir>/sandboxes/<id>/   record.json, disk/, qemu.log
 *
 * The VM that a sandbox starts with is named by the sandbox's id. One that takes its place in a rollback stands beside it for a while, so
 * it has a name and folders of its own; whose it is, the record says.
 */
import { randomInt } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '../../base/index.js';
import { prepareFolder } from '../../store/index.js';
import { SERIAL_PORT_COUNT } from '../../vmm/index.js';

export interface SandboxPaths {
  /** Name of the VM. */
  readonly id: string;
  readonly hotDir: string;
  readonly stateDir: string;
  readonly record: string;
  readonly qemuLog: string;
  /** Sparse file QEMU maps as RAM, so that the pager finds the mapping by this name. */
  readonly ramMarker: string;
  readonly qmpSocket: string;
  readonly pagerSocket: string;
  readonly pagerQmpSocket: string;
  readonly incomingSocket: string;
  /** What is forwarded to the guest's agent. */
  readonly agentSocket: string;
  /** Of the serial ports to it, where the machine has them. */
  readonly serialSockets: readonly string[];
}

/** The two tiers' roots. */
export interface Tiers {
  readonly hotDir: string;
  readonly stateDir: string;
}

/** Folder of the empty overlays that those of sandboxes are copies of. */
export const overlaysDir = ({ stateDir }: Tiers): string => join(stateDir, 'overlays');

/** Folder of snapshots on their way to or from other hosts, in one tier. */
export const hubWorkDir = (root: string): string => join(root, 'hub');

/** Folder of all sandboxes in one tier. */
export const sandboxesDir = (root: string): string => join(root, 'sandboxes');

export function sandboxPaths(tiers: Tiers, id: string): SandboxPaths {
  const hotDir = join(sandboxesDir(tiers.hotDir), id);
  const stateDir = join(sandboxesDir(tiers.stateDir), id);
  return {
    id,
    hotDir,
    stateDir,
    record: join(stateDir, 'record.json'),
    qemuLog: join(stateDir, 'qemu.log'),
    ramMarker: join(hotDir, 'ram'),
    qmpSocket: join(hotDir, 'qmp'),
    pagerSocket: join(hotDir, 'pager'),
    pagerQmpSocket: join(hotDir, 'pager-qmp'),
    incomingSocket: join(hotDir, 'incoming'),
    agentSocket: join(hotDir, 'agent'),
    serialSockets: Array.from({ length: SERIAL_PORT_COUNT }, (_, index) => join(hotDir, `port${index + 1}`)),
  };
}

/** Creates what all sandboxes share in the tiers; throws BadStoreFolder as the store does for its own folders. */
export async function prepareSharedFolders(tiers: Tiers): Promise<void> {
  for (const folder of [sandboxesDir(tiers.stateDir), sandboxesDir(tiers.hotDir), overlaysDir(tiers)])
    await prepareFolder(folder);
}

/** Makes both folders, and those in them for what a snapshot gives, readable for their owner only. */
export async function makeSandboxFolders({ hotDir, stateDir }: SandboxPaths): Promise<void> {
  for (const folder of [join(hotDir, 'layers'), join(hotDir, 'disk'), join(stateDir, 'disk')])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** Removes both folders and all in them. Links of others to the same files keep them alive. */
export async function removeSandboxFolders(paths: SandboxPaths): Promise<void> {
  await rm(paths.hotDir, { recursive: true, force: true });
  await failpoint('remove.hot-removed');
  await rm(paths.stateDir, { recursive: true, force: true });
}

const ID_LENGTH = 16;
const ID_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** 16 lower-case letters and digits, 82 bits of chance: unguessable, and safe in paths, host names and headers. */
export function newId(): string {
  return Array.from({ length: ID_LENGTH }, () => ID_ALPHABET[randomInt(ID_ALPHABET.length)]).join('');
}
