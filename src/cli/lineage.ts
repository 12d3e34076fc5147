/**
 * The forest of snapshots and sandboxes: each below what it came from.
 *
 * A sandbox came from its snapshot; a snapshot from the sandbox that was branched or, once that is gone, from the snapshot whose memory it
 * stands on. What came from nothing that is still there is a root.
 *
 * A sandbox that was rolled back may stand at a snapshot of its own, or of a child: then it came from the nearest ancestor of that snapshot
 * that did not come from itself.
 */

import type { Sandbox, Snapshot } from '../contract/index.js';

export type LineageNode = ({ readonly snapshot: Snapshot } | { readonly sandbox: Sandbox }) & {
  readonly children: LineageNode[];
};
interface SnapshotNode {
  readonly snapshot: Snapshot;
  readonly children: LineageNode[];
}

export function lineage(snapshots: readonly Snapshot[], sandboxes: readonly Sandbox[]): LineageNode[] {
  const snapshotNodes = new Map(
    snapshots.map((snapshot): [string, SnapshotNode] => [snapshot.tag, { snapshot, children: [] }]),
  );
  const sandboxNodes = new Map(
    sandboxes.map((sandbox): [string, LineageNode] => [sandbox.id, { sandbox, children: [] }]),
  );
  const origins = new Map<LineageNode, LineageNode | undefined>();
  const parentOf = ({ snapshot }: SnapshotNode): SnapshotNode | undefined =>
    snapshotNodes.get(snapshot.parent_tag ?? '');
  for (const node of snapshotNodes.values())
    origins.set(node, sandboxNodes.get(node.snapshot.branched_from ?? '') ?? parentOf(node));
  const standsAt = (node: LineageNode): SnapshotNode | undefined =>
    'sandbox' in node ? snapshotNodes.get(node.sandbox.snapshot_tag) : undefined;
  for (const node of sandboxNodes.values()) origins.set(node, standsAt(node));
  for (const node of sandboxNodes.values()) {
    let origin = standsAt(node);
    while (origin !== undefined && cameFrom(origin, node, origins)) origin = parentOf(origin);
    origins.set(node, origin);
  }
  const roots: LineageNode[] = [];
  for (const [node, origin] of origins) (origin?.children ?? roots).push(node);
  return roots;
}

function cameFrom(
  node: LineageNode,
  ancestor: LineageNode,
  origins: ReadonlyMap<LineageNode, LineageNode | undefined>,
): boolean {
  const seen = new Set<LineageNode>();
  for (
    let each: LineageNode | undefined = node;
    each !== undefined && !seen.has(each);
    each = origins.get(each)
  ) {
    if (each === ancestor) return true;
    seen.add(each);
  }
  return false;
}
