/**
 * A snapshot's instant in a new VM, with an identity of its own: what a child and a sandbox that is rolled back have in common.
 *
 *   folders and links -> record -> VM (layers mapped, devices loaded) -> run -> identify -> the caller writes the record that owns it
 *
 * Nobody talks to a guest before identify() has given it clock, entropy, names and a secret of its own. Until the caller moves the stack it
 * gives, a failure leaves no trace, and neither does the next daemon: the record that is written here names no process.
 */
import { AgentClient } from '../../agent/index.js';
import { compact, failpoint, type ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Lease } from '../../store/index.js';
import { diskNodeName } from '../../vmm/index.js';
import type { HostContext } from '../host/context.js';
import { guestDiskBytes } from '../disk/overlays.js';
import type { SnapshotNetwork } from '../entity/networks.js';
import type { SandboxPaths } from '../entity/paths.js';
import { newRecord, writeRecord, type SandboxFields, type SandboxRecord } from '../entity/record.js';
import { TRUST_VARIABLES, trustEgress } from '../entity/trust.js';
import type { Vm } from '../entity/vm.js';
import { bringUp, makeGround, makeGroup, makeOverlay, openGate } from './bring-up.js';
import { loadFailure } from './compatible.js';
import { identifyChild } from './identity.js';

/** Of a record what follows from the snapshot. */
export type RestoredFields = Pick<
  SandboxFields,
  | ('snapshotTag' | 'machine' | 'image' | 'agent' | 'layers' | 'disks' | 'overlay' | 'overlayNode')
  | 'switchCount'
>;

export interface RestorePlan {
  /** Whose VM it is to be; the VM's own name if absent. */
  readonly id?: string;
  readonly network: SnapshotNetwork | undefined;
  readonly record: (vmName: string, restored: RestoredFields) => SandboxFields;
}

/** A VM whose guest runs and knows who it is. */
export interface Restored {
  readonly paths: SandboxPaths;
  /** With the guest's secret and the process: whoever writes it owns the VM. */
  readonly record: SandboxRecord;
  readonly vm: Vm;
}

/** Throws leaf errors and BoughError. */
export async function restore(
  context: HostContext,
  lease: Lease,
  plan: RestorePlan,
  undo: ResourceStack,
  signal?: AbortSignal,
): Promise<Restored> {
  const { manifest } = lease;
  const { version } = context.vmHost.qemu;
  const paths = await makeGround(context, undo);
  await failpoint('spawn.folders-made');
  const linked = await lease.linkInto(paths.hotDir, paths.stateDir);
  await failpoint('spawn.linked');
  const diskBytes = await guestDiskBytes(linked.disks);
  const overlay = await makeOverlay(context, paths, diskBytes);
  await failpoint('spawn.overlay-made');
  const gate = await openGate(context, paths, plan.network, undo);
  const record = newRecord(
    plan.record(paths.id, {
      snapshotTag: manifest.tag,
      machine: { ...manifest.machine, qemuVersion: version },
      image: manifest.image,
      agent: manifest.agent,
      layers: linked.layers.map((layer) => ({
        ...layer,
        runs: layer.runs.map(([at, length]) => [at, length]),
      })),
      disks: [...linked.disks],
      overlay,
      overlayNode: diskNodeName(linked.disks.length),
      switchCount: 0,
    }),
  );
  await writeRecord(paths.record, record);
  await failpoint('spawn.recorded');

  const { machine } = manifest;
  const { layers, disks, vmstatePath } = linked;
  const group = await makeGroup(context, { ...record, id: paths.id }, undo);
  const request = compact({ paths, machine, layers, disks, overlay, diskBytes, group, gate, signal });
  const from = { agentPort: manifest.agent.guestPort, from: { deviceState: vmstatePath } };
  const vm = await bringUp(context, { ...request, ...from }, undo).catch(async (error: unknown) => {
    throw (await group?.hasRunOut()) ? tooSmall(error) : loadFailure(manifest, version, error);
  });
  await failpoint('spawn.running');
  const { agentHostPort, vmm } = vm;
  const isOpened = plan.network?.policy.secrets !== undefined;
  const identity = compact({ id: plan.id ?? paths.id, env: isOpened ? TRUST_VARIABLES : undefined });
  const secret = await identifyChild(agentHostPort, manifest.agent.secret, identity, signal);
  if (isOpened) {
    const agent = new AgentClient({ host: '127.0.0.1', port: agentHostPort, secret });
    await trustEgress(agent, await context.networks.certificate(), signal);
  }
  const { user, namespaced } = vm;
  const { pid, startTimeTicks } = vmm;
  const process = { pid, startTimeTicks, agentHostPort, ...compact({ user, namespaced }) };
  await failpoint('spawn.identified');
  return { paths, vm, record: { ...record, agent: { ...record.agent, secret }, process } };
}

function tooSmall(cause: unknown): BoughError {
  const problem = 'the VM takes more before its guest runs';
  return new BoughError('limit_unusable', { limit: 'memory_limit_mib', problem }, { cause });
}
