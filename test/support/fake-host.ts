/**
 * A Host without VMs: snapshots and sandboxes are entries in two maps. Tests script it by replacing methods:
 * `fakeHost({ branch: () => Promise.reject(new BoughError(...)) })`.
 */

import { Readable } from 'node:stream';
import type { ExecEvent, ExecRequest } from '../../src/agent/index.js';
import { BoughError, type Network } from '../../src/contract/index.js';
import type { SecretView } from '../../src/sandbox/entity/secrets.js';
import type { SandboxView } from '../../src/sandbox/entity/view.js';
import type { SnapshotView } from '../../src/store/index.js';
import { fakeFiles } from './fake-files.js';
import { fakeHub } from './fake-hub.js';
import { localPort } from './local-port.js';
import { fakeProcesses } from './fake-processes.js';
import { FAKE_CHECKPOINT, fakeTimelines } from './fake-timelines.js';
import type { Host } from '../../src/sandbox/host/host.js';

export interface FakeHost extends Host {
  readonly snapshots: Map<string, SnapshotView>;
  readonly sandboxes: Map<string, SandboxView>;
}

/** A host with one snapshot `base` and no sandboxes; `script` replaces single methods. */
export function fakeHost(script: Partial<Host> = {}): FakeHost {
  const secrets = new Map<string, SecretView>();
  const snapshots = new Map([['base', aSnapshot('base')]]);
  const sandboxes = new Map<string, SandboxView>();
  let spawned = 0;

  const snapshot = (tag: string) => {
    const found = snapshots.get(tag);
    if (found === undefined) throw new BoughError('snapshot_not_found', { tag });
    return found;
  };
  const sandbox = (id: string) => {
    const found = sandboxes.get(id) ?? [...sandboxes.values()].find(({ name }) => name === id);
    if (found === undefined) throw new BoughError('sandbox_not_found', { id });
    return found;
  };
  const add = (tag: string, more: Partial<SnapshotView> = {}) => {
    if (snapshots.has(tag)) throw new BoughError('tag_exists', { tag });
    const made = { ...aSnapshot(tag), ...more };
    snapshots.set(tag, made);
    return made;
  };
  const start = (snapshotTag: string, more: Partial<SandboxView> = {}) => {
    spawned += 1;
    const made = { ...aSandbox(`sandbox${spawned}`, snapshot(snapshotTag).tag), ...more };
    sandboxes.set(made.id, made);
    return made;
  };

  const host = answeringLater({
    listSnapshots: () => [...snapshots.values()],
    getSnapshot: (tag) => snapshot(tag),
    snapshotInfo: (tag) => ({
      ...snapshot(tag),
      memoryLogicalBytes: 1024,
      memoryPhysicalBytes: 512,
      vmstateBytes: 64,
      chainDepth: 0,
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
    compactSnapshot: (tag, to) => {
      snapshot(tag);
      return add(to);
    },
    listSandboxes: () => [...sandboxes.values()],
    getSandbox: (id) => sandbox(id),
    spawn: ({ snapshotTag, count, name, metadata }) =>
      Array.from({ length: count }, () =>
        start(snapshotTag, { ...(name && { name }), ...(metadata && { metadata }) }),
      ),
    removeSandbox: (id) => {
      sandboxes.delete(sandbox(id).id);
    },
    pause: (id) => {
      const paused = { ...sandbox(id), state: 'paused' as const };
      sandboxes.set(paused.id, paused);
      return paused;
    },
    resume: (id) => {
      const resumed = { ...sandbox(id), state: 'running' as const };
      sandboxes.set(resumed.id, resumed);
      return resumed;
    },
    stats: (id) => {
      sandbox(id);
      return {
        ...{ cpuTimeMs: 120, memoryUniqueBytes: 4096, memorySharedBytes: 8192, memoryPssBytes: 6144 },
        ...{ diskUniqueBytes: 512, diskSharedBytes: 1024 },
      };
    },
    exec: (id, { args }) => {
      sandbox(id);
      return { stdout: `${args.join(' ')}\n`, stderr: '', exitCode: 0, truncated: false };
    },
    evaluate: (id, { code }) => {
      sandbox(id);
      return { result: code, error: null, exitCode: 0, stdout: '', stderr: '', truncated: false };
    },
    ping: (id) => {
      sandbox(id);
      return { pong: true, interpreter: 'ready', uptimeSecs: 1 };
    },
    setTimeout: (id, { endAtUnix }) => ({
      ...sandbox(id),
      ...(endAtUnix === undefined ? {} : { endAtUnix, onEnd: 'kill' as const }),
    }),
    collect: ({ dryRun }) => ({ dryRun, removed: [], kept: [], freedBytes: 0 }),
    branch: (id, { tag = 'made-up', mode, wait, retention }) => {
      sandbox(id);
      const status = wait === 'running' ? 'writing' : 'ready';
      const isCheckpoint = retention?.checkpoint !== undefined;
      const marked = isCheckpoint
        ? { retention: { ordinal: snapshots.size, checkpoint: FAKE_CHECKPOINT } }
        : {};
      return add(tag, { branchedFrom: id, mode, pauseMs: 1.25, stoppedMs: 0.75, status, ...marked });
    },
    fork: (id, { branch: { tag = 'made-up', mode }, count }) => {
      sandbox(id);
      const made = add(tag, { branchedFrom: id, mode, pauseMs: 1.25 });
      return { snapshot: made, children: Array.from({ length: count }, () => ({ sandbox: start(tag) })) };
    },
    network: (id) => {
      sandbox(id);
      return aNetwork;
    },
    setNetwork: (id, policy) => {
      sandbox(id);
      return { ...aNetwork, policy };
    },
    checkNetwork: (id) => {
      sandbox(id);
      return { verdict: 'refused', rule: null, why: 'there is no network' };
    },
    networkLog: (id) => {
      sandbox(id);
      return Readable.from([Buffer.from('{"kind":"tcp"}\n')]);
    },
    listSecrets: () => [...secrets.values()],
    setSecret: (name, { hosts, header, format }) => {
      const view = { name, hosts, header, format, updatedAtUnix: 1_700_000_000 };
      secrets.set(name, view);
      return view;
    },
    removeSecret: (name) => {
      if (!secrets.delete(name)) throw new BoughError('secret_not_found', { name });
    },
    close: () => undefined,
  });
  const execStream = (id: string, { args }: ExecRequest) => {
    sandbox(id);
    return printed(`${args.join(' ')}\n`);
  };
  const withPort = localPort((id) => void sandbox(id));
  const processes = fakeProcesses((id) => void sandbox(id));
  const files = fakeFiles((id) => void sandbox(id));
  const timelines = fakeTimelines({ snapshots, sandboxes, find: sandbox, add });
  const hub = fakeHub({ find: snapshot, add });
  const gauges = () => ({
    sandboxes: { running: sandboxes.size },
    snapshots: { ready: snapshots.size },
    branchesInFlight: 0,
    warmVmms: 0,
    hotBytes: 0,
    durableBytes: 0,
  });
  return Object.assign(host, { gauges, execStream, processes, files, timelines, hub, withPort }, script, {
    snapshots,
    sandboxes,
  });
}

const aNetwork: Network = {
  policy: { mode: 'none', rules: [], presets: [], max_connections: 1 },
  ...{ open: 0, connections: 0, refused: 0, queries: 0, bytes_up: 0, bytes_down: 0 },
};

async function* printed(text: string): AsyncGenerator<ExecEvent> {
  yield await Promise.resolve({ type: 'stdout', bytes: Buffer.from(text) });
  yield { type: 'exit', exitCode: 0 };
}

type Operations = Omit<
  Host,
  'gauges' | 'execStream' | 'processes' | 'files' | 'timelines' | 'hub' | 'withPort'
>;
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

export function aSnapshot(tag: string): SnapshotView {
  return {
    id: `id-of-${tag}`,
    tag,
    dir: `/state/snapshots/${tag}`,
    createdAtUnix: 1_700_000_000,
    status: 'ready',
    bootable: true,
    durable: true,
    hot: true,
  };
}

export function aSandbox(id: string, snapshotTag: string): SandboxView {
  return {
    id,
    snapshotTag,
    agentAddr: '127.0.0.1:40000',
    createdAtUnix: 1_700_000_000,
    branchCount: 0,
    pid: 4242,
    state: 'running',
    memoryMiB: 1024,
    vcpus: 1,
    isolation: { accel: 'tcg', level: 'none', uid: 0, seccomp: true, cgroup: false },
    networkMode: 'none',
    lastUsedAtUnix: 1_700_000_000,
  };
}
