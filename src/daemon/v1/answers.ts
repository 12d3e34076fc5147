/** From what the host answers to the objects of the API's first version. */
import type { GuestStats } from '../../agent/index.js';
import { compact } from '../../base/index.js';
import {
  isBoughError,
  type EvalResult,
  type ForkResult,
  type GcItem,
  type GcResult,
  type RolledBack,
  type Sandbox,
  type SandboxStats,
  type Snapshot,
  type SnapshotInfo,
} from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';

/** What the host answers. */
type Answer<
  N extends 'snapshotInfo' | 'getSnapshot' | 'getSandbox' | 'stats' | 'fork' | 'collect' | 'evaluate',
> = Awaited<ReturnType<Host[N]>>;

type RollbackView = Awaited<ReturnType<Host['timelines']['rollback']>>;

export function wireSnapshot(view: Answer<'getSnapshot'>): Snapshot {
  return {
    tag: view.tag,
    dir: view.dir,
    created_at_unix: view.createdAtUnix,
    status: view.status,
    bootable: view.bootable,
    durable: view.durable,
    ...compact({
      branched_from: view.branchedFrom,
      mode: view.mode,
      pause_ms: view.pauseMs,
      stopped_ms: view.stoppedMs,
      warning: view.warning,
      rebuilt: view.rebuilt,
      parent_tag: view.parentTag,
      memory_physical_bytes: view.memoryPhysicalBytes,
      captured_bytes: view.capturedBytes,
      expires_at_unix: view.retention?.expiresAtUnix,
      keep_last: view.retention?.keepLast,
      checkpoint: view.retention?.checkpoint === undefined ? undefined : true,
    }),
  };
}

export function wireSnapshotInfo(info: Answer<'snapshotInfo'>): SnapshotInfo {
  return {
    ...wireSnapshot(info),
    memory_logical_bytes: info.memoryLogicalBytes,
    memory_physical_bytes: info.memoryPhysicalBytes,
    vmstate_bytes: info.vmstateBytes,
    chain_depth: info.chainDepth,
    ancestors: [...info.ancestors],
    dependents: [...info.dependents],
  };
}

export function wireSandbox(view: Answer<'getSandbox'>): Sandbox {
  return {
    id: view.id,
    snapshot_tag: view.snapshotTag,
    guest_addr: view.agentAddr,
    created_at_unix: view.createdAtUnix,
    has_branched: view.branchCount > 0,
    branch_count: view.branchCount,
    netns: null,
    pid: view.pid ?? null,
    memory_limit_mib: view.memoryLimitMiB ?? null,
    last_branch_memory_path: view.lastBranchMemoryPath ?? null,
    state: view.state,
    memory_mib: view.memoryMiB,
    vcpus: view.vcpus,
    isolation: { ...view.isolation },
    network: { mode: view.networkMode },
    last_used_at_unix: view.lastUsedAtUnix,
    ...compact({
      state_reason: view.stateReason,
      console_tail: view.consoleTail,
      name: view.name,
      metadata: view.metadata && { ...view.metadata },
      parent: view.parent,
      end_at_unix: view.endAtUnix,
      idle_timeout_secs: view.idleTimeoutMs === undefined ? undefined : view.idleTimeoutMs / 1000,
      on_end: view.onEnd,
      on_end_tag: view.onEndTag,
      warning: view.warning,
    }),
  };
}

export function wireStats(stats: Answer<'stats'>): SandboxStats {
  return {
    cpu_time_ms: stats.cpuTimeMs,
    memory_unique_bytes: stats.memoryUniqueBytes,
    memory_shared_bytes: stats.memorySharedBytes,
    memory_pss_bytes: stats.memoryPssBytes,
    disk_unique_bytes: stats.diskUniqueBytes,
    disk_shared_bytes: stats.diskSharedBytes,
    ...compact({ guest: stats.guest && wireGuestStats(stats.guest) }),
  };
}

function wireGuestStats(guest: GuestStats): SandboxStats['guest'] {
  return compact({
    cpu_time_ms: guest.cpuTimeMs,
    memory_total_bytes: guest.memoryTotalBytes,
    memory_available_bytes: guest.memoryAvailableBytes,
    disk_total_bytes: guest.diskTotalBytes,
    disk_free_bytes: guest.diskFreeBytes,
    network_received_bytes: guest.networkReceivedBytes,
    network_sent_bytes: guest.networkSentBytes,
  });
}

export function wireForked({ snapshot, children }: Answer<'fork'>): ForkResult {
  return {
    snapshot: wireSnapshot(snapshot),
    pause_ms: snapshot.pauseMs ?? 0,
    children: children.map((child) => {
      if ('sandbox' in child) return { sandbox: wireSandbox(child.sandbox) };
      return isBoughError(child.error)
        ? { error: child.error.message, code: child.error.code }
        : { error: 'Unexpected failure; see the log of the daemon', code: 'internal' };
    }),
  };
}

export function wireRolledBack({ sandbox, kept }: RollbackView): RolledBack {
  return { sandbox: wireSandbox(sandbox), ...compact({ kept: kept && wireSnapshot(kept) }) };
}

export function wireEvaluated({ exitCode, ...evaluated }: Answer<'evaluate'>): EvalResult {
  return { ...evaluated, exit_code: exitCode };
}

export function wireCollection({ dryRun, removed, kept, freedBytes }: Answer<'collect'>): GcResult {
  return {
    dry_run: dryRun,
    removed: removed.map(wireItem),
    kept: kept.map(wireItem),
    freed_bytes: freedBytes,
  };
}

function wireItem({ what, ...item }: Answer<'collect'>['removed'][number]): GcItem {
  return { ...item, what: what === 'sandbox-folder' ? 'sandbox_folder' : what };
}
