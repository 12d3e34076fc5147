/**
 * Children of a snapshot: restore its instant into new VMs, each with an identity of its own.
 *
 *   lease -> folders and links -> record -> VM (layers mapped, devices loaded) -> run -> identify -> record -> Sandbox
 *
 * Nobody talks to a child before identify() has given it clock, entropy, names and a secret of its own. A child that
 * fails anywhere on the way is removed without a trace; the snapshot is not touched.
 */
import { stat } from 'node:fs/promises';
import { compact, failpoint, ResourceStack, unixSeconds } from '../../base/index.js';
import { BoughError, type NetworkPolicy } from '../../contract/index.js';
import type { DiskRef, Lease, LinkedSnapshot, Manifest, RequestKey } from '../../store/index.js';
import { diskNodeName } from '../../vmm/index.js';
import type { HostContext } from '../host/context.js';
import { bringUp, makeGround, makeGroup, makeOverlay, openGate } from './bring-up.js';
import { identifyChild } from './identity.js';
import { loadFailure } from './compatible.js';
import type { Lifetime } from '../entity/lifetime.js';
import type { SnapshotNetwork } from '../entity/networks.js';
import { newRecord, writeRecord, type SandboxRecord } from '../entity/record.js';
import { Sandbox } from '../entity/sandbox.js';

/** What the caller may say about a child. */
export interface ChildOptions {
  readonly memoryLimitMiB?: number;
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly requestKey?: RequestKey | undefined;
  /** The snapshot's when absent. */
  readonly network?: NetworkPolicy | undefined;
  /** When and how it ends; asked when it is ready. */
  readonly lifetime?: () => Lifetime | undefined;
}

/** Restores one child of the leased snapshot. Throws leaf errors and BoughError; nothing is left then. */
export async function spawnChild(
  context: HostContext,
  lease: Lease,
  options: ChildOptions,
  signal?: AbortSignal,
): Promise<Sandbox> {
  const { manifest } = lease;
  await using undo = new ResourceStack();
  const paths = await makeGround(context, undo);
  await failpoint('spawn.folders-made');
  const linked = await lease.linkInto(paths.hotDir, paths.stateDir);
  await failpoint('spawn.linked');
  const overlay = await makeOverlay(context, paths, await diskBytes(linked.disks));
  await failpoint('spawn.overlay-made');
  const network = networkOf(context, manifest, options);
  const gate = await openGate(context, paths, network, undo);
  const record = childRecord(
    paths.id,
    { ...manifest, machine: { ...manifest.machine, qemuVersion: context.vmHost.qemu.version } },
    linked,
    overlay,
    { ...options, network: network?.policy },
  );
  await writeRecord(paths.record, record);
  await failpoint('spawn.recorded');

  const { machine } = manifest;
  const { layers, disks, vmstatePath } = linked;
  const group = await makeGroup(context, record, undo);
  const request = compact({ paths, machine, layers, disks, overlay, group, gate, signal });
  const from = { agentPort: manifest.agent.guestPort, from: { deviceState: vmstatePath } };
  const { version } = context.vmHost.qemu;
  const vm = await bringUp(context, { ...request, ...from }, undo).catch(async (error: unknown) => {
    throw (await group?.hasRunOut()) ? tooSmall(error) : loadFailure(manifest, version, error);
  });
  await failpoint('spawn.running');
  const secret = await identifyChild(vm.agentHostPort, manifest.agent.secret, paths.id, signal);
  const lifetime = options.lifetime?.();
  const owned = {
    ...record,
    ...compact({ lifetime }),
    agent: { ...record.agent, secret },
    process: { pid: vm.vmm.pid, startTimeTicks: vm.vmm.startTimeTicks, agentHostPort: vm.agentHostPort },
  };
  await failpoint('spawn.identified');
  await writeRecord(paths.record, owned);
  await failpoint('spawn.owned');
  undo.move();
  const { seccomp } = context.vmHost.qemu;
  return Sandbox.running(paths, owned, vm, { seccomp, emit: context.emit, networks: context.networks });
}

function tooSmall(cause: unknown): BoughError {
  const problem = 'the VM takes more before its guest runs';
  return new BoughError('limit_unusable', { limit: 'memory_limit_mib', problem }, { cause });
}

/** What was asked for, or what the snapshot has; whatever an address meant in the source it means here. */
function networkOf(
  { networks }: HostContext,
  { network }: Manifest,
  { network: asked }: ChildOptions,
): SnapshotNetwork | undefined {
  const policy = networks.checked(asked ?? network?.policy);
  return policy && { policy, names: network?.names ?? [] };
}

function childRecord(
  id: string,
  manifest: Manifest,
  linked: LinkedSnapshot,
  overlay: DiskRef,
  options: ChildOptions,
): SandboxRecord {
  return newRecord({
    id,
    snapshotTag: manifest.tag,
    createdAtUnix: unixSeconds(),
    machine: manifest.machine,
    image: manifest.image,
    agent: manifest.agent,
    ...compact({
      name: options.name,
      metadata: options.metadata && { ...options.metadata },
      env: options.env && { ...options.env },
      requestKey: options.requestKey,
      memoryLimitMiB: options.memoryLimitMiB,
      network: options.network,
      parent: manifest.branchedFrom,
    }),
    layers: linked.layers.map((layer) => ({
      ...layer,
      runs: layer.runs.map(([at, length]) => [at, length]),
    })),
    disks: [...linked.disks],
    overlay,
    overlayNode: diskNodeName(linked.disks.length),
    switchCount: 0,
    branchCount: 0,
  });
}

/** Size of the guest's disk: that of the raw base, which every overlay of the chain has too. */
async function diskBytes([base]: readonly DiskRef[]): Promise<number> {
  if (base === undefined) throw new TypeError('A sandbox needs a disk');
  return (await stat(base.path)).size;
}
