/**
 * From a snapshot that another host made to one of this host: taken in, started once, given a secret of its own, captured again.
 *
 *   can it be loaded here? ─▶ room ─▶ files, each checked ─▶ VM ─▶ identify ─▶ capture on top of what came ─▶ ready
 *
 * The agent's secret is in the guest's memory, and whoever had the snapshot knows it. So it is listed only as a new capture, made after
 * the guest was given another one; that it loads at all is known then too. What came stays as it was below, for others that share it.
 *
 * Its network policy does not come along: what a stranger's guest may reach is for this host to say.
 * What cannot be loaded here is refused; take-in.ts makes it again.
 */
import { link } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compact, failpoint, MiB, ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { BadSnapshotArchive, type IncomingSnapshot, type SnapshotConfig } from '../../hub/index.js';
import type { PagerCapture } from '../../pager/index.js';
import {
  IntegrityError,
  type Ancestry,
  type DiskRef,
  type Draft,
  type LayerRef,
  type LinkedSnapshot,
  type MachineIdentity,
  type SnapshotView,
} from '../../store/index.js';
import { hadEnded } from '../entity/had-ended.js';
import { lendFiles } from '../entity/lent-files.js';
import { layersDir } from '../entity/own-layers.js';
import type { SandboxPaths } from '../entity/paths.js';
import { startVm, type Vm } from '../entity/vm.js';
import type { HostContext } from '../host/context.js';
import { childBytes } from './admission.js';
import { bringUp, makeGround, makeOverlay } from './bring-up.js';
import { checkCompatible, loadFailure } from './compatible.js';
import { identifyChild } from './identity.js';

const CAPTURE_DEADLINE_MS = 120_000;
/** What a guest writes between its start and its capture. */
const CAPTURE_BYTES = 64 * MiB;

export interface ImportOptions {
  /** Default: as it was called. */
  readonly tag?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What takes a VM; tests have other ways. */
export interface ImportSteps {
  readonly startVm: typeof startVm;
  readonly identifyChild: typeof identifyChild;
}

/** On failure nothing is left. Throws leaf errors and BoughError. */
export async function importSnapshot(
  context: HostContext,
  incoming: IncomingSnapshot,
  options: ImportOptions,
  steps: ImportSteps = { startVm, identifyChild },
): Promise<SnapshotView> {
  const { config } = incoming;
  const tag = options.tag ?? config.tag;
  const { signal } = options;
  const machine = await usableMachine(context, config, tag);
  await using undo = new ResourceStack();
  const room = { tag, memoryBytes: memoryBytes(config), diskBytes: diskBytes(config) };
  const reception = undo.use(await context.store.receive(room));
  const disk = await incoming.unpack(reception, signal);
  await failpoint('import.unpacked');
  const received = await reception.finish(config, signal).catch((error: unknown) => {
    if (!(error instanceof IntegrityError)) throw error;
    throw new BadSnapshotArchive(`${error.object} ${error.problem}`, { cause: error });
  });

  const draft = await context.store.draft({
    tag,
    mode: 'diff',
    reserveHotBytes: CAPTURE_BYTES,
    reserveDurableBytes: room.memoryBytes + CAPTURE_BYTES,
  });
  undo.defer(() => draft.abandon());
  const [ticket] = await context.admission.admit(childBytes(machine.memoryMiB), 1);
  undo.defer(() => ticket?.release());
  const { paths, vm, secret, overlay } = await claimed(
    context,
    { config, machine, received, ...disk, tag, steps, signal },
    undo,
  );
  await failpoint('import.owned');
  await draft.addAncestry(received);
  const captured = await capture(vm, paths, draft, overlay);
  await failpoint('import.captured');
  return await draft.publish({
    memory: { runs: captured.runs, logicalBytes: machine.memoryMiB * MiB },
    machine,
    image: config.image,
    agent: { secret, guestPort: config.agent.guestPort },
    ...compact({ recipe: config.recipe }),
    hasTail: true,
    capturedBytes: captured.capturedBytes,
  });
}

/** What it will be captured with here. Throws `snapshot_incompatible` naming what would be needed. */
async function usableMachine(
  context: HostContext,
  config: SnapshotConfig,
  tag: string,
): Promise<MachineIdentity> {
  const machine: MachineIdentity = compact(config.machine);
  await checkCompatible(context, { tag, machine, image: config.image, recipe: config.recipe });
  const [layer] = config.memory;
  if (layer?.logicalBytes !== machine.memoryMiB * MiB)
    throw new BadSnapshotArchive('its memory layers are not as large as its RAM');
  return { ...machine, qemuVersion: context.vmHost.qemu.version };
}

interface Claim {
  readonly config: SnapshotConfig;
  readonly machine: MachineIdentity;
  readonly received: LinkedSnapshot;
  readonly diskBytes: number;
  readonly tag: string;
  readonly steps: ImportSteps;
  readonly signal?: AbortSignal | undefined;
}

/** Starts it, as nobody's sandbox, and makes it ours before anybody else can reach it. */
async function claimed(
  context: HostContext,
  { config, machine, received, diskBytes, tag, steps, signal }: Claim,
  undo: ResourceStack,
): Promise<{ paths: SandboxPaths; vm: Vm; secret: string; overlay: DiskRef }> {
  const paths = await makeGround(context, undo);
  const overlay = await makeOverlay(context, paths, diskBytes);
  const { layers, disks } = await linkInto(paths, received);
  const deviceState = received.vmstatePath;
  const { secret: foreignSecret, guestPort: agentPort } = config.agent;
  const request = compact({
    paths,
    machine,
    layers,
    disks,
    overlay,
    diskBytes,
    agentPort,
    from: { deviceState },
    signal,
  });
  const vm = await bringUp(context, request, undo, steps.startVm).catch((error: unknown) => {
    throw loadFailure({ tag, machine: config.machine }, machine.qemuVersion, error);
  });
  const secret = await steps.identifyChild(vm.agentAddress, foreignSecret, { id: paths.id }, signal);
  return { paths, vm, secret, overlay };
}

/** A VMM that has walls reaches nothing of the store's; in its sandbox's folders it may have the same files. */
async function linkInto(paths: SandboxPaths, { layers, disks }: Ancestry): Promise<Ancestry> {
  const linkedIn = async <T extends DiskRef | LayerRef>(folder: string, object: T): Promise<T> => {
    const path = join(folder, basename(object.path));
    await link(object.path, path);
    return { ...object, path };
  };
  return {
    layers: await Promise.all(layers.map((layer) => linkedIn(layersDir(paths), layer))),
    disks: await Promise.all(disks.map((disk) => linkedIn(join(paths.stateDir, 'disk'), disk))),
  };
}

async function capture(vm: Vm, paths: SandboxPaths, draft: Draft, overlay: DiskRef): Promise<PagerCapture> {
  const { layerPath, statePath, tailPath } = await lendFiles(vm, paths, draft, { isDurable: false });
  const branch = vm.pager.branch({
    ...{ mode: 'diff', layerPath, statePath },
    deadlineMs: CAPTURE_DEADLINE_MS,
    disk: { overlayPath: overlay.path, tailPath, spares: [] },
  });
  const pause = await branch.running;
  const captured = await branch.done;
  if (await hadEnded(vm.vmm.qmp, pause))
    throw new BoughError('boot_failed', { problem: 'its guest ended before it was captured' });
  return captured;
}

const sum = (runs: SnapshotConfig['memory'][number]['runs']): number =>
  runs.reduce((total, [, lengthBytes]) => total + lengthBytes, 0);

const memoryBytes = ({ vmstate, memory }: SnapshotConfig): number =>
  memory.reduce((total, { runs }) => total + sum(runs), vmstate.bytes);

const diskBytes = ({ disks }: SnapshotConfig): number =>
  disks.reduce((total, { runs }) => total + sum(runs), 0);
