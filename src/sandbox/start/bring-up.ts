/**
 * What a guest that boots and a child that is restored have in common on their way.
 *
 *   ground: an id that is taken note of, and its folders -> disk files -> an empty overlay on them -> VM, running
 *
 * Each step leaves its undo with the caller, whose story goes on: until that moves its stack, no trace remains of a start that fails.
 */
import { join } from 'node:path';
import { compact, messageOf, MiB, type ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { DiskRef } from '../../store/index.js';
import type { Cgroup, Cgroups } from '../../vmm/index.js';
import type { OverlayTemplates } from '../disk/overlays.js';
import {
  makeSandboxFolders,
  newId,
  removeSandboxFolders,
  sandboxPaths,
  type SandboxPaths,
  type Tiers,
} from '../entity/paths.js';
import type { SandboxRegistry } from '../entity/registry.js';
import type { SandboxRecord } from '../entity/record.js';
import type { Gate, Networks, SnapshotNetwork } from '../entity/networks.js';
import type { Walls } from '../entity/walls.js';
import { startVm, type EmptyVmRequest, type Vm, type VmHost, type VmRequest } from '../entity/vm.js';

/** The folders of a VM that nobody knows of yet. */
export async function makeGround(
  { tiers, sandboxes }: { readonly tiers: Tiers; readonly sandboxes: SandboxRegistry },
  undo: ResourceStack,
): Promise<SandboxPaths> {
  const paths = sandboxPaths(tiers, newId());
  sandboxes.begin(paths.id);
  undo.defer(() => sandboxes.giveUp(paths.id));
  undo.defer(() => removeSandboxFolders(paths));
  await makeSandboxFolders(paths);
  return paths;
}

/** The overlay that a new VM writes to, on a disk of `diskBytes`. */
export async function makeOverlay(
  { overlays }: { readonly overlays: Pick<OverlayTemplates, 'create'> },
  { stateDir }: SandboxPaths,
  diskBytes: number,
): Promise<DiskRef> {
  const path = join(stateDir, 'disk', 'overlay-0.qcow2');
  await overlays.create(path, diskBytes);
  return { id: newId(), format: 'qcow2', path };
}

/** What holds a VM to its memory limit; undefined where it has none. Throws `limit_unusable` where this host can hold it to none. */
export async function makeGroup(
  { cgroups }: { readonly cgroups: Cgroups },
  { id, memoryLimitMiB, machine: { vcpus } }: Pick<SandboxRecord, 'id' | 'memoryLimitMiB' | 'machine'>,
  undo: ResourceStack,
): Promise<Cgroup | undefined> {
  if (memoryLimitMiB === undefined) return undefined;
  const group = await cgroups
    .make(id, { memoryBytes: memoryLimitMiB * MiB, vcpus })
    .catch((cause: unknown) => {
      const problem = `this host cannot hold a VM to it: ${messageOf(cause)}`;
      throw new BoughError('limit_unusable', { limit: 'memory_limit_mib', problem }, { cause });
    });
  undo.defer(() => group.remove());
  return group;
}

/** The gate of a VM that is to have the network; undefined without one. */
export async function openGate(
  { networks }: { readonly networks: Networks },
  paths: SandboxPaths,
  network: SnapshotNetwork | undefined,
  undo: ResourceStack,
): Promise<Gate | undefined> {
  if (network === undefined) return undefined;
  undo.defer(() => networks.forget(paths.id));
  return networks.open(paths, network.policy, network.names);
}

/** What stands between VMMs and this host. */
interface Around {
  readonly vmHost: VmHost;
  readonly walls?: Walls;
  readonly namespaced?: boolean;
}

/** Starts a VM, empty or not, by `start`, with the walls that VMMs have here. */
export async function startWalled<R extends EmptyVmRequest>(
  { vmHost, walls, namespaced }: Around,
  request: R,
  undo: ResourceStack,
  start: (host: VmHost, request: R) => Promise<Vm>,
): Promise<Vm> {
  const user = walls?.take(request.paths.id);
  const vm = await start(vmHost, { ...request, ...compact({ user, namespaced }) });
  undo.defer(() => vm.vmm.kill());
  undo.defer(() => vm.pager.close());
  return vm;
}

/** Lets the guest run, behind its gate if there is one: not before that is shut. */
export async function letRun(
  { networks }: { readonly networks: Pick<Networks, 'requireSealed'> },
  { paths, gate }: Pick<VmRequest, 'paths' | 'gate'>,
  { vmm }: Vm,
): Promise<void> {
  if (gate !== undefined) await networks.requireSealed(paths.id);
  await vmm.qmp.execute('cont');
}

/** Starts the VM and lets its guest run. `start` is `startVm` but for tests. */
export async function bringUp(
  around: Around & { readonly networks: Networks },
  request: VmRequest,
  undo: ResourceStack,
  start: typeof startVm = startVm,
): Promise<Vm> {
  const vm = await startWalled(around, request, undo, start);
  await letRun(around, request, vm);
  return vm;
}
