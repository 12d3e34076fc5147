/** A sandbox as the host shows it: plain data, of one moment. */
import { compact } from '../../base/index.js';
import type { IsolationLevel, NetworkMode } from '../../contract/index.js';
import type { MachineIdentity } from '../../store/index.js';
import type { Lasting } from './lifecycle.js';
import type { LifetimeView } from './lifetime.js';
import type { SandboxRecord } from './record.js';
import type { Vm } from './vm.js';

export type SandboxState = 'running' | 'paused' | 'unresponsive' | 'failed';

/** What stands between the guest and the host. */
export interface Isolation {
  readonly accel: MachineIdentity['accel'];
  readonly level: IsolationLevel;
  /** User the VMM runs as. */
  readonly uid: number;
  /** Whether QEMU's system call filter is on. */
  readonly seccomp: boolean;
  /** Whether a cgroup limits its memory. */
  readonly cgroup: boolean;
}

export interface SandboxView extends LifetimeView {
  readonly id: string;
  readonly snapshotTag: string;
  /** `host:port` of the guest's agent. */
  readonly agentAddr: string;
  readonly createdAtUnix: number;
  readonly branchCount: number;
  /** Process id of the VMM, while there is one. */
  readonly pid?: number;
  readonly memoryLimitMiB?: number;
  readonly lastBranchMemoryPath?: string;
  readonly state: SandboxState;
  /** Why it failed, or is unresponsive. */
  readonly stateReason?: string;
  /** The end of its console, when its guest ended by itself; not in lists. */
  readonly consoleTail?: string;
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Id of the sandbox its snapshot was branched from. */
  readonly parent?: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly isolation: Isolation;
  readonly networkMode: NetworkMode;
}

/** Why a guest stands still that nobody paused. */
export const STALLED =
  'It stands still: the disk it writes to has no room on the host. It goes on when there is some';
const OUTDATED = 'It cannot be branched: another version of bough started it';

/** What a view is made of. */
export interface Viewed {
  readonly record: SandboxRecord;
  readonly shown: Lasting;
  readonly lifetime: LifetimeView;
  readonly seccomp: boolean;
  readonly vm: Vm | undefined;
}

/** QEMU's user network gives it to every guest. */
const GUEST_ADDRESS = '10.0.2.15';

/** In the guest's own network; of a VM that an earlier version started, the port that leads there. */
function agentAddressOf({ agent, process }: SandboxRecord): string {
  const port = process?.agentHostPort;
  return port === undefined ? `${GUEST_ADDRESS}:${agent.guestPort}` : `127.0.0.1:${port}`;
}

export function viewOf({ record, shown, lifetime, seccomp, vm }: Viewed): SandboxView {
  const isOutdated = vm?.foreignPagerVersion !== undefined;
  const cgroup = vm?.vmm.group !== undefined;
  const { state } = shown;
  const isStalled = state === 'running' && shown.isStalled;
  return {
    id: record.id,
    snapshotTag: record.snapshotTag,
    agentAddr: agentAddressOf(record),
    createdAtUnix: record.createdAtUnix,
    branchCount: record.branchCount,
    state,
    memoryMiB: record.machine.memoryMiB,
    vcpus: record.machine.vcpus,
    isolation: {
      accel: record.machine.accel,
      level: levelOf(record.process),
      uid: record.process?.user?.uid ?? process.getuid?.() ?? -1,
      ...{ seccomp, cgroup },
    },
    networkMode: record.network?.mode ?? 'none',
    ...lifetime,
    ...compact({
      pid: state === 'failed' ? undefined : record.process?.pid,
      memoryLimitMiB: record.memoryLimitMiB,
      lastBranchMemoryPath: record.lastBranchMemoryPath,
      warning: isStalled ? STALLED : (lifetime.warning ?? (isOutdated ? OUTDATED : undefined)),
      stateReason: 'why' in shown ? shown.why : undefined,
      name: record.name,
      metadata: record.metadata,
      parent: record.parent,
    }),
  };
}

function levelOf({ user, namespaced }: Partial<NonNullable<SandboxRecord['process']>> = {}): IsolationLevel {
  if (user !== undefined) return user.confined === true ? 'confined' : 'user';
  return namespaced === true ? 'namespaced' : 'none';
}
