/**
 * A snapshot of another host that becomes one of this host: loaded, or made again from its image where it cannot be loaded here. The image
 * is one that is here, or else the one that came along, which is not kept.
 *
 * Nothing of its memory is in one that was made again, so nobody else knows its secret either. That it was is written down with it.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compact, ResourceStack, temporaryPath } from '../../base/index.js';
import { BoughError, isBoughError } from '../../contract/index.js';
import { BadSnapshotArchive, type IncomingSnapshot } from '../../hub/index.js';
import { fromTravel, imageFilesIn, ImageUnusable, type Image } from '../../image/index.js';
import type { SnapshotView } from '../../store/index.js';
import { hubWorkDir } from '../entity/paths.js';
import type { HostContext } from '../host/context.js';
import { createSnapshot } from './create-snapshot.js';
import { importSnapshot, type ImportOptions } from './import-snapshot.js';
import { asItWasMade, NotRepeatable } from './made-again.js';

/** What takes VMs; tests have other ways. */
export interface TakeInSteps {
  readonly importSnapshot: typeof importSnapshot;
  readonly createSnapshot: typeof createSnapshot;
}

/** On failure nothing is left. Throws leaf errors and BoughError; `snapshot_incompatible` says why it cannot be made again either. */
export async function takeIn(
  context: HostContext,
  incoming: IncomingSnapshot,
  options: ImportOptions,
  steps: TakeInSteps = { importSnapshot, createSnapshot },
): Promise<SnapshotView> {
  try {
    return await steps.importSnapshot(context, incoming, options);
  } catch (error) {
    if (!isBoughError(error, 'snapshot_incompatible')) throw error;
    return await madeAgain(context, incoming, options, steps, error);
  }
}

async function madeAgain(
  context: HostContext,
  incoming: IncomingSnapshot,
  { tag, signal }: ImportOptions,
  steps: TakeInSteps,
  refusal: BoughError<'snapshot_incompatible'>,
): Promise<SnapshotView> {
  const { config } = incoming;
  const [field, wanted, found] = ['field', 'wanted', 'found'].map((key) => String(refusal.details?.[key]));
  const facts = { tag: tag ?? config.tag, field: `${field}`, wanted: `${wanted}`, found: `${found}` };
  await using undo = new ResourceStack();
  const brought = incoming.bringsImage ? () => broughtImage(context, incoming, undo, signal) : undefined;
  const spec = await asItWasMade(context, config, brought).catch((cause: unknown) => {
    if (!(cause instanceof NotRepeatable)) throw cause;
    throw new BoughError('snapshot_incompatible', { ...facts, again: cause.message }, { cause: refusal });
  });
  const rebuilt = `its ${facts.field} is ${facts.wanted}, this host has ${facts.found}`;
  const made = steps.createSnapshot(context, { ...spec, tag: facts.tag, rebuilt }, compact({ signal }));
  // Who sends it sends all of it.
  const [view] = await Promise.all([made, incoming.skip()]);
  return view;
}

/** The image that came along, in a folder that goes with `undo`. Throws BadSnapshotArchive. */
async function broughtImage(
  { store, tiers }: HostContext,
  incoming: IncomingSnapshot,
  undo: ResourceStack,
  signal?: AbortSignal,
): Promise<Image> {
  const { boot, disks, image, tag } = incoming.config;
  const { kernelBytes = 0, modulesBytes = 0, record } = boot ?? {};
  const rootfsBytes = disks[0]?.runs.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0) ?? 0;
  await store.checkRoom(kernelBytes + 2 * modulesBytes + rootfsBytes);
  const dir = temporaryPath(join(hubWorkDir(tiers.stateDir), tag));
  undo.defer(() => rm(dir, { recursive: true, force: true }));
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await incoming.unpackImage(imageFilesIn(dir), signal);
  return await fromTravel(dir, record, image, signal).catch((cause: unknown) => {
    if (!(cause instanceof ImageUnusable)) throw cause;
    throw new BadSnapshotArchive(cause.message, { cause });
  });
}
