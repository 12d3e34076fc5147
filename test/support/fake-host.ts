/**
 * A Host without VMs: snapshots and sandboxes are entries in two maps. Tests script it by replacing methods:
 * `fakeHost({ branch: () => Promise.reject(new BoughError(...)) })`.
 */

import { BoughError, type Sandbox, type Snapshot } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';

export interface FakeHost extends Host {
  readonly snapshots: Map<string, Snapshot>;
  readonly sandboxes: Map<string, Sandbox>;
}

/** A host with one snapshot `base` and no sandboxes; `script` replaces single methods. */
export function fakeHost(script: Partial<Host> = {}): FakeHost {
  const snapshots = new Map([['base', aSnapshot('base')]]);
  const sandboxes = new Map<string, Sandbox>();
  let spawned = 0;

  const snapshot = (tag: string) => {
    const found = snapshots.get(tag);
    if (found === undefined) throw new BoughError('snapshot_not_found', { tag });
    return found;
  };
  const sandbox = (id: string) => {
    const found = sandboxes.get(id);
    if (found === undefined) throw new BoughError('sandbox_not_found', { id });
    return found;
  };
  const add = (tag: string, more: Partial<Snapshot> = {}) => {
    if (snapshots.has(tag)) throw new BoughError('tag_exists', { tag });
    const made = { ...aSnapshot(tag), ...more };
    snapshots.set(tag, made);
    return made;
  };
  const start = (snapshotTag: string) => {
    spawned += 1;
    const made = aSandbox(`sandbox${spawned}`, snapshot(snapshotTag).tag);
    sandboxes.set(made.id, made);
    return made;
  };

  const host = answeringLater({
    listSnapshots: () => [...snapshots.values()],
    getSnapshot: (tag) => snapshot(tag),
    snapshotInfo: (tag) => ({
      ...snapshot(tag),
      memory_logical_bytes: 1024,
      memory_physical_bytes: 512,
      vmstate_bytes: 64,
      chain_depth: 0,
      ancestors: [],
      dependents: [],
    }),
    createSnapshot: ({ tag, image }) => {
      if (image === 'absent') throw new BoughError('image_not_found', { image });
      return add(tag);
    },
    deleteSnapshot: (tag) => {
      snapshot(tag);
      snapshots.delete(tag);
    },
    compactSnapshot: (tag, { to }) => {
      snapshot(tag);
      return add(to);
    },
    listSandboxes: () => [...sandboxes.values()],
    getSandbox: (id) => sandbox(id),
    spawn: ({ snapshot_tag, n }) => Array.from({ length: n }, () => start(snapshot_tag)),
    removeSandbox: (id) => {
      sandbox(id);
      sandboxes.delete(id);
    },
    exec: (id, { args }) => {
      sandbox(id);
      return { stdout: `${args.join(' ')}\n`, stderr: '', exit_code: 0, truncated: false };
    },
    evaluate: (id, { code }) => {
      sandbox(id);
      return { result: code, error: null, exit_code: 0, stdout: '', stderr: '', truncated: false };
    },
    ping: (id) => {
      sandbox(id);
      return { pong: true };
    },
    setTimeout: (id, { end_at_unix }) => ({
      ...sandbox(id),
      ...(end_at_unix === undefined ? {} : { end_at_unix, on_end: 'kill' as const }),
    }),
    collect: ({ dry_run }) => ({ dry_run, removed: [], kept: [], freed_bytes: 0 }),
    branch: (id, { tag = 'made-up', mode, wait }) => {
      sandbox(id);
      const status = wait === false ? 'writing' : 'ready';
      return {
        snapshot: add(tag, { branched_from: id, mode, pause_ms: 1.25, status }),
        accepted: wait === false,
      };
    },
    fork: (id, { count, tag = 'made-up', mode }) => {
      sandbox(id);
      const made = add(tag, { branched_from: id, mode, pause_ms: 1.25 });
      const children = Array.from({ length: count }, () => ({ sandbox: start(tag) }));
      return { snapshot: made, pause_ms: 1.25, children };
    },
    close: () => undefined,
  });
  const gauges = () => ({
    sandboxes: { running: sandboxes.size },
    snapshots: { ready: snapshots.size },
    branchesInFlight: 0,
    hotBytes: 0,
    durableBytes: 0,
  });
  return Object.assign(host, { gauges }, script, { snapshots, sandboxes });
}

type Operations = Omit<Host, 'gauges'>;
type Immediate = {
  [K in keyof Operations]: (...args: Parameters<Operations[K]>) => Awaited<ReturnType<Operations[K]>>;
};

/** Plain functions as a host's operations: what they throw becomes a rejection. */
function answeringLater(operations: Immediate): Operations {
  const later = Object.entries(operations).map(([name, operation]) => [
    name,
    (...args: never[]) => new Promise((resolve) => resolve(operation(...args))),
  ]);
  return Object.fromEntries(later) as Operations;
}

export function aSnapshot(tag: string): Snapshot {
  return {
    tag,
    dir: `/state/snapshots/${tag}`,
    created_at_unix: 1_700_000_000,
    status: 'ready',
    bootable: true,
  };
}

export function aSandbox(id: string, snapshotTag: string): Sandbox {
  return {
    id,
    snapshot_tag: snapshotTag,
    guest_addr: '127.0.0.1:40000',
    created_at_unix: 1_700_000_000,
    has_branched: false,
    branch_count: 0,
    netns: null,
    pid: 4242,
    memory_limit_mib: null,
    last_branch_memory_path: null,
    state: 'running',
  };
}
