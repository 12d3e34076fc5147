/**
 * From an image to a template snapshot: boot it, wait until it is warm and what it serves is ready, capture it whole, end it.
 *
 * The VM that boots is nobody's sandbox: it is never listed, and its folders go with it, whatever the outcome.
 */
import { join } from 'node:path';
import { compact, failpoint, linkOrCopy, MiB, monotonicMs, ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { findImage, kernelCmdline, wasBuilt, type Image } from '../../image/index.js';
import {
  copyDisk,
  diskDigest,
  type DiskRef,
  type Draft,
  type MachineIdentity,
  type Recipe,
  type RequestKey,
  type SnapshotView,
} from '../../store/index.js';
import { chooseAccelerator, cpuModelFor, DEVICE_LAYOUT, hostProcessor } from '../../vmm/index.js';
import type { PagerCapture } from '../../pager/index.js';
import { bootBytes } from './admission.js';
import { bringUp, makeGround, makeOverlay, openGate } from './bring-up.js';
import type { HostContext } from '../host/context.js';
import { freezeGuest } from './identity.js';
import { imageOfFiles } from './image-of-files.js';
import type { SandboxPaths } from '../entity/paths.js';
import { lendFiles } from '../entity/lent-files.js';
import { retentionOf } from '../entity/retention.js';
import { startVm, type Vm } from '../entity/vm.js';
import { hadEnded } from '../entity/had-ended.js';
import { asSnapshot } from './made-again.js';
import { isGuestFiles, type BootSpec, type SnapshotSpec } from './boot-spec.js';
import { serviceOf, type Service } from './service.js';
import { warmUp, warmUpSteps, type WarmUpSteps } from './warm-up.js';

const CAPTURE_DEADLINE_MS = 120_000;

/** What takes a VM; tests have other ways. */
export interface BootSteps extends WarmUpSteps {
  readonly chooseAccelerator: typeof chooseAccelerator;
  readonly startVm: typeof startVm;
  readonly freezeGuest: typeof freezeGuest;
}

/** Boots and captures; on failure nothing is left. Throws leaf errors and BoughError. */
export async function createSnapshot(
  context: HostContext,
  asked: SnapshotSpec,
  {
    requestKey,
    signal,
  }: { readonly requestKey?: RequestKey | undefined; readonly signal?: AbortSignal } = {},
  steps: BootSteps = { chooseAccelerator, startVm, freezeGuest, ...warmUpSteps },
): Promise<SnapshotView> {
  await using undo = new ResourceStack();
  const request = await withImage(context, asked, signal);
  const retention = retentionOf(request.retention);
  const policy = context.networks.checked(request.network);
  const draft = await context.store.draft({ tag: request.tag, mode: 'full', retention, requestKey });
  undo.defer(() => draft.abandon());
  await failpoint('create.drafted');
  // After the tag is taken: to read files of the caller's own may take minutes.
  const image = await requestedImage(context, request, signal);
  const service = request.service && serviceOf(request.service, image);
  const paths = await makeGround(context, undo);
  await failpoint('create.folders-made');

  const base = await layBase(image, !isGuestFiles(request.image), paths);
  const overlay = await makeOverlay(context, paths, image.rootfsBytes);
  await failpoint('create.disk-laid');
  const machine = await bootMachine(context, request, image, steps);
  const [ticket] = await context.admission.admit(bootBytes(machine.memoryMiB), 1);
  undo.defer(() => ticket?.release());
  const cmdline = [kernelCmdline(machine.accel, image), request.kernelCmdline ?? ''].join(' ').trim();
  const boot = compact({ kernelPath: image.kernelPath, initrdPath: image.initrdPath, cmdline });
  const { agentPort } = image;
  const disk = { layers: [], disks: [base], overlay, diskBytes: image.rootfsBytes };
  const gate = await openGate(context, paths, policy && { policy, names: [] }, undo);
  const vmRequest = compact({ paths, machine, ...disk, agentPort, gate, from: { boot }, signal });
  const vm = await bringUp(context, vmRequest, undo, steps.startVm);
  await failpoint('create.booting');
  const certificate = policy?.secrets && (await context.networks.certificate());
  const secret = await warmUp(vm, { restMs: request.restMs ?? 0, service, certificate }, steps, signal);
  await failpoint('create.warm');

  await draft.addAncestry({ layers: [], disks: [base] });
  const held = await steps.freezeGuest(vm.agentAddress, secret, signal);
  undo.defer(() => held?.release());
  const { runs, capturedBytes, pauseMs } = await captureWhole(vm, paths, draft, overlay);
  held?.requireHeld(monotonicMs() - pauseMs);
  await failpoint('create.captured');
  const view = await draft.publish({
    memory: { runs, logicalBytes: machine.memoryMiB * MiB },
    machine,
    image: { name: image.name, digest: image.digest },
    agent: { secret, guestPort: agentPort },
    ...compact({
      network: context.networks.forChild(paths, policy),
      recipe: isGuestFiles(request.image) ? undefined : recipeOf(request, service),
      rebuilt: request.rebuilt,
    }),
    hasTail: true,
    pauseMs,
    capturedBytes,
  });
  await failpoint('create.published');
  return view;
}

/** With the image, and all the rest, of the snapshot that is to be made again. */
async function withImage(context: HostContext, asked: SnapshotSpec, signal?: AbortSignal): Promise<BootSpec> {
  const { image } = asked;
  if (typeof image === 'string' || !('like' in image)) return { ...asked, image };
  const { tag, retention, network } = asked;
  return { ...(await asSnapshot(context, image.like, signal)), ...compact({ tag, retention, network }) };
}

function recipeOf({ restMs, kernelCmdline }: BootSpec, service: Service | undefined): Recipe {
  return compact({ restMs, kernelCmdline, service });
}

/** Memory, devices and the disk's tail into the draft's files; nobody waits for this guest, so its disk is taken whatever its size. */
async function captureWhole(
  vm: Vm,
  paths: SandboxPaths,
  draft: Draft,
  overlay: DiskRef,
): Promise<PagerCapture & { readonly pauseMs: number }> {
  const { layerPath, statePath, tailPath } = await lendFiles(vm, paths, draft, { isDurable: false });
  const branch = vm.pager.branch({
    ...{ mode: 'full', layerPath, statePath },
    deadlineMs: CAPTURE_DEADLINE_MS,
    disk: { overlayPath: overlay.path, tailPath, spares: [] },
  });
  const pause = await branch.running;
  const captured = await branch.done;
  if (await hadEnded(vm.vmm.qmp, pause))
    throw new BoughError('boot_failed', { problem: 'its guest ended before it was captured' });
  return { ...captured, pauseMs: pause.pauseUs / 1000 };
}

async function requestedImage(context: HostContext, request: BootSpec, signal?: AbortSignal): Promise<Image> {
  if (isGuestFiles(request.image)) return imageOfFiles(request.image, signal);
  if (typeof request.image !== 'string') return request.image;
  const { image: name } = request;
  const image = await findImage(context.cacheDir, name);
  if (image !== undefined) return image;
  throw new BoughError('image_not_found', {
    image: name,
    isOutdated: await wasBuilt(context.cacheDir, name),
  });
}

async function bootMachine(
  context: HostContext,
  request: BootSpec,
  image: Image,
  steps: BootSteps,
): Promise<MachineIdentity> {
  const { qemu, wantedAccelerator } = context.vmHost;
  const { accelerator, reason } = await steps.chooseAccelerator({
    qemu,
    kernelPath: image.kernelPath,
    ...compact({ wanted: wantedAccelerator, initrdPath: image.initrdPath }),
    cacheDir: context.cacheDir,
  });
  context.emit('accelerator.chosen', { accelerator, reason });
  return {
    qemuVersion: qemu.version,
    machineType: qemu.machineType,
    accel: accelerator,
    cpuModel: cpuModelFor(accelerator),
    ...(accelerator === 'kvm' ? { processor: await hostProcessor() } : {}),
    vcpus: request.vcpus ?? image.vcpus,
    memoryMiB: request.memoryMiB ?? image.memoryMiB,
    deviceLayout: DEVICE_LAYOUT,
  };
}

const BASE_ID_DIGITS = 32;

/**
 * The base of the disk chain; its id is of what it holds, so that the same id is the same content on every host. A built image is
 * immutable, so a link does, and the image may be rebuilt or removed; a file of the caller's is copied, since its owner may write to it.
 */
async function layBase(image: Image, built: boolean, paths: SandboxPaths): Promise<DiskRef> {
  const path = join(paths.stateDir, 'disk', 'base.raw');
  if (built) await linkOrCopy(image.rootfsPath, path);
  const sha256 = await (built ? diskDigest(path, 'sparse') : copyDisk(image.rootfsPath, { path }, 'sparse'));
  const id = `base-${sha256.slice(-64, BASE_ID_DIGITS - 64)}`;
  return { id, path, format: 'raw', sha256 };
}
