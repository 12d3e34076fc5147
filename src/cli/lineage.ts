/**
 * The forest of snapshots and sandboxes: each below what it came from.
 *
 * A sandbox came from its snapshot; a snapshot from the sandbox that was branched or, once that is gone, from the snapshot whose memory it
 * stands on. What came from nothing that is still there is a root.
 */

import type { Sandbox, Snapshot } from '../contract/index.js';

export type LineageNode = ({ readonly snapshot: Snapshot } | { readonly sandbox: Sandbox }) & {
  readonly children: LineageNode[];
};

export function lineage(snapshots: readonly Snapshot[], sandboxes: readonly Sandbox[]): LineageNode[] {
  const snapshotNodes = new Map(snapshots.map((snapshot) => [snapshot.tag, { snapshot, children: [] }]));
  const sandboxNodes = new Map(sandboxes.map((sandbox) => [sandbox.id, { sandbox, children: [] }]));
  const roots: LineageNode[] = [];
  const place = (node: LineageNode, origin: LineageNode | undefined): void => {
    (origin?.children ?? roots).push(node);
  };
  for (const node of snapshotNodes.values()) {
    const { branched_from: source, parent_tag: parent } = node.snapshot;
    place(node, sandboxNodes.get(source ?? '') ?? snapshotNodes.get(parent ?? ''));
  }
  for (const node of sandboxNodes.values()) place(node, snapshotNodes.get(node.sandbox.snapshot_tag));
  return roots;
}
