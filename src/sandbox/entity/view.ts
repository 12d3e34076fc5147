/** A sandbox as the host shows it: plain data, of one moment. */
import type { NetworkMode } from '../../contract/index.js';
import type { MachineIdentity } from '../../store/index.js';
import type { LifetimeView } from './lifetime.js';

export type SandboxState = 'running' | 'paused' | 'unresponsive' | 'failed';

/** What stands between the guest and the host. */
export interface Isolation {
  readonly accel: MachineIdentity['accel'];
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
