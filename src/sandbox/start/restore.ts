/**
 * A snapshot's instant in a new VM, with an identity of its own: what a child and a sandbox that is rolled back have in common.
 *
 *   folders and links -> VM (layers mapped, devices loaded) -> run -> identify -> the caller writes the record that owns it
 *
 * Nobody talks to a guest before identify() has given it clock, entropy, names and a secret of its own. Until the caller moves the stack it
 * gives, a failure leaves no trace, and neither does the next daemon, which finds no record.
 */
import { AgentClient } from '../../agent/index.js';
import { compact, failpoint, monotonicMs, ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Lease } from '../../store/index.js';
import { diskNodeName } from '../../vmm/index.js';
import type { HostContext } from '../host/context.js';
import { guestDiskBytes } from '../disk/overlays.js';
import type { SnapshotNetwork } from '../entity/networks.js';
import type { SandboxPaths } from '../entity/paths.js';
import { newRecord, type SandboxFields, type SandboxRecord } from '../entity/record.js';
import { TRUST_VARIABLES, trustEgress } from '../entity/trust.js';
import { fillVm, type Vm, type VmRequest } from '../entity/vm.js';
import { bringUp, letRun, makeGround, makeGroup, makeOverlay, openGate } from './bring-up.js';
import { loadFailure } from './compatible.js';
import { identifyChild } from './identity.js';
import type { WarmVm } from './warm-vmms.js';

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
  readonly memoryLimitMiB?: number;
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
  const { paths, record, vm } = await running(context, lease, plan, undo, signal);
  await failpoint('spawn.running');
  const { agentAddress, vmm } = vm;
  const isOpened = plan.network?.policy.secrets !== undefined;
  const identity = compact({ id: plan.id ?? paths.id, env: isOpened ? TRUST_VARIABLES : undefined });
  const secret = await identifyChild(agentAddress, lease.manifest.agent.secret, identity, signal);
  if (isOpened) {
    const agent = new AgentClient({ ...agentAddress, secret });
    await trustEgress(agent, await context.networks.certificate(), signal);
  }
  const { user, namespaced } = vm;
  const { pid, startTimeTicks } = vmm;
  const process = { pid, startTimeTicks, ...compact({ user, namespaced }) };
  await failpoint('spawn.identified');
  return { paths, vm, record: { ...record, agent: { ...record.agent, secret }, process } };
}

/** In a VMM that stands ready if there is one; should that turn out to be of no use, in one that is started as if it had not been there. */
async function running(
  context: HostContext,
  lease: Lease,
  plan: RestorePlan,
  undo: ResourceStack,
  signal?: AbortSignal,
): Promise<Restored> {
  const beganMs = monotonicMs();
  const isPlain = plan.network === undefined && plan.memoryLimitMiB === undefined;
  const warm = isPlain ? context.warmVmms?.take(lease.manifest) : undefined;
  const told = (made: Restored): Restored => {
    const facts = { tag: lease.manifest.tag, durationMs: monotonicMs() - beganMs };
    context.emit('sandbox.guest-runs', { id: made.record.id, ...facts, warm: made.vm === warm?.vm });
    return made;
  };
  if (warm !== undefined) {
    try {
      return told(await runningIn(context, lease, plan, { warm, undo, signal }));
    } catch (err) {
      signal?.throwIfAborted();
      context.emit('vmm.not-warm', { err });
    }
  }
  return told(await runningIn(context, lease, plan, { undo, signal }));
}

interface Attempt {
  readonly warm?: WarmVm;
  readonly undo: ResourceStack;
  readonly signal: AbortSignal | undefined;
}

/** What is undone of a failure is undone here; of what succeeds, by the caller's stack. */
async function runningIn(
  context: HostContext,
  lease: Lease,
  plan: RestorePlan,
  { warm, undo: callers, signal }: Attempt,
): Promise<Restored> {
  await using undo = warm?.undo ?? new ResourceStack();
  const { manifest } = lease;
  const { version } = context.vmHost.qemu;
  const paths = warm?.paths ?? (await makeGround(context, undo));
  await failpoint('spawn.folders-made');
  const linked = await lease.linkInto(paths.hotDir, paths.stateDir);
  await failpoint('spawn.linked');
  const { layers, disks, vmstatePath } = linked;
  const diskBytes = warm?.diskBytes ?? (await guestDiskBytes(disks));
  const overlay = warm?.overlay ?? (await makeOverlay(context, paths, diskBytes));
  await failpoint('spawn.overlay-made');
  const gate = await openGate(context, paths, plan.network, undo);
  const record = newRecord(
    plan.record(paths.id, {
      snapshotTag: manifest.tag,
      machine: { ...manifest.machine, qemuVersion: version },
      image: manifest.image,
      agent: manifest.agent,
      layers: layers.map((layer) => ({ ...layer, runs: layer.runs.map(([at, length]) => [at, length]) })),
      disks: [...disks],
      overlay,
      overlayNode: diskNodeName(disks.length),
      switchCount: 0,
    }),
  );

  const { machine, agent } = manifest;
  const group = await makeGroup(context, { ...record, id: paths.id }, undo);
  const content = compact({ paths, layers, disks, overlay, from: { deviceState: vmstatePath }, signal });
  const request = compact({ ...content, machine, diskBytes, agentPort: agent.guestPort, group, gate });
  const start = warm === undefined ? bringUp(context, request, undo) : filled(context, warm.vm, request);
  const vm = await start.catch(async (error: unknown) => {
    throw (await group?.hasRunOut()) ? tooSmall(error) : loadFailure(manifest, version, error);
  });
  callers.use(undo.move());
  if (gate === undefined && group === undefined) context.warmVmms?.noteStart(manifest, diskBytes);
  return { paths, record, vm };
}

async function filled(context: HostContext, vm: Vm, request: VmRequest): Promise<Vm> {
  await fillVm(vm, request);
  await letRun(context, request, vm);
  return vm;
}

function tooSmall(cause: unknown): BoughError {
  const problem = 'the VM takes more before its guest runs';
  return new BoughError('limit_unusable', { limit: 'memory_limit_mib', problem }, { cause });
}
