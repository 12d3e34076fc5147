/**
 * A virtual machine with a pager in it: one QEMU process, its RAM laid out, its devices loaded, not yet running.
 *
 *   startEmptyVm: marker file -> QEMU (stopped), which has a machine and nothing in it
 *   fillVm:       disk plugged in, layers mapped by the pager -> device state (a child) -> caller: run()
 *
 * What a VM is started with follows from its machine alone, so it may stand empty before anybody knows of which snapshot it is to be. The guest's
 * RAM must be in place before its first instruction, and before the device state is loaded into it.
 */
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AgentClient, type ChannelAddress } from '../../agent/index.js';
import { abortReason, compact, failpoint, MiB, ResourceStack, withDeadline } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { PAGER_ENV_QMP, PAGER_ENV_SOCKET, PAGER_PROTOCOL_VERSION, PagerClient } from '../../pager/index.js';
import type { DiskRef, LayerRef, MachineIdentity } from '../../store/index.js';
import {
  DeviceStateRejected,
  GATE_ENV_FORWARD,
  GATE_ENV_SOCKET,
  listenForDeviceState,
  loadDeviceState,
  plugDisk,
  Vmm,
  type Cgroup,
  type MachineSpec,
  type QemuFacts,
  type Reach,
  type VmmUser,
  type WantedAccelerator,
} from '../../vmm/index.js';
import { lentDirs, makeLentDirs } from './lent-files.js';
import type { Gate } from './networks.js';
import { layersDir } from './own-layers.js';
import type { SandboxPaths } from './paths.js';
import { closeGround, giveFiles, giveGround, readableCopy } from './vmm-files.js';

/** What this host offers every VM. */
export interface VmHost {
  readonly qemu: QemuFacts;
  readonly pagerLibrary: string;
  readonly gateLibrary: string;
  /** What guests are to boot under; `auto` if absent. */
  readonly wantedAccelerator?: WantedAccelerator;
}

/** What there is of a VM when nothing is in it. */
export interface EmptyVmRequest {
  readonly paths: SandboxPaths;
  readonly machine: MachineIdentity;
  readonly diskBytes: number;
  readonly agentPort: number;
  /** What limits it. */
  readonly group?: Cgroup;
  /** What stands between it and a network; without one it has none. */
  readonly gate?: Gate;
  /** Whom its VMM runs as; as the daemon without. */
  readonly user?: VmmUser;
  /** Its VMM has namespaces of its own, as the daemon's user. */
  readonly namespaced?: boolean;
  /** Frozen disk files, bottom first, that are there when it starts. */
  readonly disks?: readonly DiskRef[];
  /** A kernel for its guest, which otherwise waits for a device state. */
  readonly boot?: Boot | undefined;
  readonly signal?: AbortSignal;
}

type Boot = NonNullable<MachineSpec['boot']>;

/** What a VM is filled with. */
export interface VmContent {
  readonly paths: SandboxPaths;
  /** Memory layers, bottom first; none for a VM that boots. */
  readonly layers: readonly LayerRef[];
  /** Frozen disk files, bottom first, below `overlay`. */
  readonly disks: readonly DiskRef[];
  readonly overlay: DiskRef;
  /** How it starts: from a kernel, or from a device state. */
  readonly from: { readonly boot: Boot } | { readonly deviceState: string };
  readonly signal?: AbortSignal;
}

export type VmRequest = Omit<EmptyVmRequest, 'boot' | 'disks'> & VmContent;

export interface Vm {
  readonly vmm: Vmm;
  readonly pager: PagerClient;
  /** The protocol of a pager that another version of bough started: it can be asked nothing but that. */
  readonly foreignPagerVersion?: number;
  readonly agentAddress: ChannelAddress;
  /** Of the serial ports to its agent: none where its machine has none. */
  readonly serialSockets: readonly string[];
  /** Whom its VMM runs as, if not as the daemon. */
  readonly user?: VmmUser;
  /** Its VMM has namespaces of its own. */
  readonly namespaced?: boolean;
}

/** Starts the VM, stopped. On failure no process remains; the folders are the caller's. */
export async function startVm(host: VmHost, request: VmRequest): Promise<Vm> {
  await using undo = new ResourceStack();
  const { from } = request;
  const vm = await startEmptyVm(host, { ...request, boot: 'boot' in from ? from.boot : undefined });
  undo.defer(() => vm.vmm.kill());
  undo.use(vm.pager);
  await fillVm(vm, request);
  undo.move();
  return vm;
}

/** Starts a VM that is of no snapshot yet, stopped. On failure no process remains; the folders are the caller's. */
export async function startEmptyVm(host: VmHost, request: EmptyVmRequest): Promise<Vm> {
  const { paths, signal, user, namespaced } = request;
  await using undo = new ResourceStack();
  await makeMarker(paths.ramMarker, request.machine.memoryMiB);
  const given = user === undefined ? request : await handOver(request, user);
  if (namespaced === true) await makeLentDirs(paths);
  const vmm = await Vmm.start({
    spec: machineSpec(host, given),
    logPath: paths.qemuLog,
    qemuPath: host.qemu.qemuPath,
    pagerLibrary: host.pagerLibrary,
    env: { ...pagerEnvironment(paths), ...gateEnvironment(given) },
    ...compact({ signal, user, group: request.group }),
    gateLibrary: host.gateLibrary,
    ...(isConfined(given) && { reach: reachOf(given) }),
  });
  undo.defer(() => vmm.kill());
  requireVersion(vmm.qmp.qemuVersion, host.qemu.version);
  await failpoint('spawn.started');
  const { pager, foreignPagerVersion } = await connectPager(paths);
  undo.use(pager);
  requireProtocol(foreignPagerVersion);
  if (request.boot === undefined)
    await listenForDeviceState(vmm.qmp, paths.incomingSocket, compact({ signal }));
  undo.move();
  const ways = { agentAddress: { path: paths.agentSocket }, serialSockets: serialSocketsOf(request) };
  return { vmm, pager, ...ways, ...compact({ user, namespaced }) };
}

/** The client of its agent that is asked again and again. */
export function agentOf({ agentAddress, serialSockets }: Vm, secret: string): AgentClient {
  return new AgentClient({ ...agentAddress, secret }, { connectsAhead: true, serialSockets });
}

/** Makes a VM that is empty one of the snapshot, or one that can boot. On failure it is of no use. */
export async function fillVm({ vmm, pager, user }: Vm, content: VmContent): Promise<void> {
  const { paths, layers, disks, overlay, from, signal } = content;
  const shared = [...layers, ...disks].map(({ path }) => path);
  if (user !== undefined) await giveFiles({ own: [overlay.path], shared }, user);
  const layerPaths = layers.map((layer) => layer.path);
  const chain = [
    ...disks.map(({ path, format }) => ({ path, format, readOnly: true })),
    { path: overlay.path, format: overlay.format, readOnly: false },
  ];
  await Promise.all([
    vmm.whileAnswering(pager.map(paths.ramMarker, layerPaths), MAP_DEADLINE_MS),
    plugDisk(vmm.qmp, chain, { signal }),
  ]);
  await failpoint('spawn.mapped');
  if ('deviceState' in from) await load(vmm, paths.incomingSocket, from.deviceState, signal);
  await failpoint('spawn.loaded');
  if (signal?.aborted === true) throw abortReason(signal);
  if (user !== undefined) await closeGround(paths);
}

/** Lets the user of the VMM into its folders; what it boots it is given in copies of its own. */
async function handOver(request: EmptyVmRequest, user: VmmUser): Promise<EmptyVmRequest> {
  const { paths, gate, boot } = request;
  await giveGround(paths, user);
  const own = [paths.ramMarker, ...(gate === undefined ? [] : [gate.socketPath])];
  await giveFiles({ own, shared: [] }, user);
  if (boot === undefined) return request;
  const { kernelPath, initrdPath, cmdline } = boot;
  const copy = (path: string, name: string): Promise<string> =>
    readableCopy(path, join(paths.stateDir, name), user);
  const copies = {
    kernelPath: await copy(kernelPath, 'kernel'),
    ...(initrdPath === undefined ? {} : { initrdPath: await copy(initrdPath, 'initrd') }),
    cmdline,
  };
  return { ...request, boot: copies };
}

/** QEMU says what it could not load on its output, and ends. */
async function load(vmm: Vmm, socketPath: string, statePath: string, signal?: AbortSignal): Promise<void> {
  try {
    await loadDeviceState(vmm.qmp, socketPath, statePath, signal && { signal });
  } catch (error) {
    if (!(error instanceof DeviceStateRejected)) throw error;
    const lastLine = (await vmm.logTail()).trimEnd().split('\n').at(-1) ?? '';
    if (lastLine === '') throw error;
    throw new DeviceStateRejected(`${error.message}: ${lastLine}`, { cause: error });
  }
}

/** The binary may have been replaced since the daemon looked at it. */
function requireVersion(found: string, wanted: string): void {
  if (found === wanted) return;
  const problem = `it is version ${found} now, not ${wanted}: start the daemon again`;
  throw new BoughError('vmm_failed', { operation: 'start a virtual machine', problem });
}

const PAGER_DEADLINE_MS = 10_000;
/** Mapping takes milliseconds. */
const MAP_DEADLINE_MS = 60_000;

/**
 * Connects to a VM's pager and asks which protocol it speaks. A pager that is busy with the branch of an earlier daemon answers when
 * that is over; throws DeadlineExceeded if it takes longer than `deadlineMs`.
 */
export async function connectPager(
  paths: SandboxPaths,
  deadlineMs = PAGER_DEADLINE_MS,
): Promise<Pick<Vm, 'pager' | 'foreignPagerVersion'>> {
  await using undo = new ResourceStack();
  const pager = undo.use(await PagerClient.connect(paths.pagerSocket));
  const { version } = await withDeadline(pager.hello(), deadlineMs, 'The answer of the pager');
  undo.move();
  return version === PAGER_PROTOCOL_VERSION ? { pager } : { pager, foreignPagerVersion: version };
}

/** Of a VM that was just started, with the library that is there now. */
function requireProtocol(foreignVersion: number | undefined): void {
  if (foreignVersion === undefined) return;
  throw new Error(
    `The pager speaks protocol ${foreignVersion}, not ${PAGER_PROTOCOL_VERSION}: rebuild native/pager`,
  );
}

function pagerEnvironment(paths: SandboxPaths): Record<string, string> {
  return { [PAGER_ENV_SOCKET]: paths.pagerSocket, [PAGER_ENV_QMP]: paths.pagerQmpSocket };
}

const isConfined = ({ user, namespaced }: EmptyVmRequest): boolean =>
  user?.confined === true || namespaced === true;

/** Where a guest has no network its gate leads nowhere; the way to its agent is the gate's too. */
function gateEnvironment({ gate, paths }: EmptyVmRequest): Record<string, string> {
  return { [GATE_ENV_SOCKET]: gate?.socketPath ?? '', [GATE_ENV_FORWARD]: paths.agentSocket };
}

/** Its own folders, with the disks that it stands on, and those in which a branch of it is written. */
function reachOf(request: EmptyVmRequest): Reach {
  if (request.namespaced === true) return reachInNamespaces(request);
  const { paths } = request;
  const tiers = [paths.hotDir, paths.stateDir];
  const snapshots = tiers.map((folder) => join(dirname(dirname(folder)), 'snapshots'));
  return { reads: [], writes: [...tiers, ...snapshots] };
}

/** Modes keep nothing from the daemon's user: what it may read it reaches where that cannot be written. */
function reachInNamespaces({ paths, disks = [], boot }: EmptyVmRequest): Reach {
  const booted = [boot?.kernelPath, boot?.initrdPath].filter((path) => path !== undefined);
  return {
    namespaced: true,
    reads: [layersDir(paths), ...disks.map(({ path }) => path), ...booted],
    writes: [paths.hotDir, join(paths.stateDir, 'disk'), ...lentDirs(paths)],
  };
}

/** Of machines that have them. */
export function serialSocketsOf({
  paths,
  machine,
}: Pick<EmptyVmRequest, 'paths' | 'machine'>): readonly string[] {
  return machine.deviceLayout >= 3 ? paths.serialSockets : [];
}

function machineSpec(host: VmHost, request: EmptyVmRequest): MachineSpec {
  const { paths, machine, boot } = request;
  return {
    name: paths.id,
    machineType: machine.machineType,
    accelerator: machine.accel,
    cpuModel: machine.cpuModel,
    vcpus: machine.vcpus,
    memoryMiB: machine.memoryMiB,
    generationId: machine.deviceLayout >= 2,
    serialSocketPaths: serialSocketsOf(request),
    memoryMarkerPath: paths.ramMarker,
    ...compact({ boot }),
    disk: { emptyBytes: request.diskBytes },
    network: { agentPort: request.agentPort, gated: request.gate !== undefined },
    console: 'ringbuf',
    qmpSocketPath: paths.qmpSocket,
    pagerQmpSocketPath: paths.pagerQmpSocket,
    incoming: boot === undefined,
    seccomp: host.qemu.seccomp,
  };
}

async function makeMarker(path: string, memoryMiB: number): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.truncate(memoryMiB * MiB);
  } finally {
    await file.close();
  }
}
