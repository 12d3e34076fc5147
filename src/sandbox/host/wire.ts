/** The store's view of a snapshot as the API shows it. */
import { compact } from '../../base/index.js';
import type { Snapshot, SnapshotInfo } from '../../contract/index.js';
import type { SnapshotInfo as StoreInfo, SnapshotView } from '../../store/index.js';

export function wireSnapshot(view: SnapshotView): Snapshot {
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
      warning: view.warning,
      parent_tag: view.parentTag,
      memory_physical_bytes: view.memoryPhysicalBytes,
      captured_bytes: view.capturedBytes,
      expires_at_unix: view.retention?.expiresAtUnix,
      keep_last: view.retention?.keepLast,
    }),
  };
}

export function wireSnapshotInfo(info: StoreInfo): SnapshotInfo {
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
