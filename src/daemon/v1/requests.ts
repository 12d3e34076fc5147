/** From requests of the API's first version to what the host takes: names, and seconds to milliseconds. */
import { compact } from '../../base/index.js';
import {
  readyCheck,
  type BranchRequest,
  type BranchWait as WireWait,
  type CheckpointsRequest,
  type CreateSnapshotRequest,
  type EvalRequest,
  type ExecRequest,
  type ForkRequest,
  type LifetimeRequest,
  type RetentionRequest,
  type RollbackRequest,
  type SpawnRequest,
  type TimeoutRequest,
} from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import { DEFAULT_THINNING } from '../../sandbox/timeline/thinning.js';

/** What the host takes in place of `N`'s request. */
type Spec<N extends keyof Host> = Host[N] extends (first: never, spec: infer S, ...rest: never[]) => unknown
  ? S
  : never;
type BootSpec = Parameters<Host['createSnapshot']>[0];
type SpawnSpec = Parameters<Host['spawn']>[0];
type Schedule = NonNullable<Parameters<Host['timelines']['setSchedule']>[1]>;
type RollbackSpec = Parameters<Host['timelines']['rollback']>[1];

export function bootSpec(request: CreateSnapshotRequest): BootSpec {
  const { tag, image, like, kernel = '', rootfs = '', initrd } = request;
  return compact({
    tag,
    image: image ?? (like === undefined ? compact({ kernel, rootfs, initrd }) : { like }),
    kernelCmdline: request.kernel_cmdline,
    memoryMiB: request.memory_mib,
    vcpus: request.vcpus,
    restMs: toMs(request.boot_wait_secs),
    service: serviceSpec(request),
    retention: retentionSpec(request),
    network: request.network,
  });
}

function serviceSpec({
  start,
  ready,
  ready_timeout_secs: timeoutSecs,
}: CreateSnapshotRequest): BootSpec['service'] {
  if (start === undefined) return undefined;
  const check = ready === undefined ? undefined : readyCheck(ready);
  return { start, ...compact({ ready: check, readyTimeoutMs: toMs(timeoutSecs) }) };
}

export function spawnSpec(request: SpawnRequest): SpawnSpec {
  return compact({
    snapshotTag: request.snapshot_tag,
    count: request.n,
    memoryLimitMiB: request.memory_limit_mib,
    name: request.name,
    metadata: request.metadata,
    env: request.env,
    network: request.network,
    lifetime: lifetimeSpec(request),
  });
}

export function program({ args, timeout_secs, env, cwd, user, stdin }: ExecRequest): Spec<'exec'> {
  return compact({ args, timeoutMs: toMs(timeout_secs), env, cwd, user, stdin });
}

export function evalSpec({ code, timeout_secs }: EvalRequest): Spec<'evaluate'> {
  return { code, timeoutMs: toMs(timeout_secs) };
}

export function branchSpec(request: BranchRequest): Spec<'branch'> {
  const { mode, tag, wait, freeze, parent_tag: parentTag } = request;
  return compact({
    mode,
    tag,
    freeze,
    parentTag,
    wait: WAITS.get(wait) ?? 'ready',
    retention: { ...retentionSpec(request), ...(request.checkpoint === true ? { checkpoint: {} } : {}) },
  });
}

const WAITS = new Map<WireWait, Spec<'branch'>['wait']>([
  [false, 'running'],
  [true, 'ready'],
  ['durable', 'durable'],
]);

export function forkSpec(request: ForkRequest): Spec<'fork'> {
  const { mode, tag, freeze, count } = request;
  return {
    branch: compact({ mode, tag, freeze, retention: retentionSpec(request) }),
    count,
    lifetime: lifetimeSpec(request),
    network: request.network,
  };
}

export function lifetimeChange(request: TimeoutRequest): Spec<'setTimeout'> {
  return compact({ ...lifetimeSpec(request), never: request.never, extendOnly: request.extend_only });
}

export function checkpointSchedule({ every_secs, keep, max_bytes }: CheckpointsRequest): Schedule {
  const { keep: defaultKeep, maxBytes } = DEFAULT_THINNING;
  const kept = keep?.map(({ within_secs, every_secs: each }) => ({
    withinSecs: within_secs,
    ...compact({ everySecs: each }),
  }));
  return { everySecs: every_secs, thinning: { keep: kept ?? defaultKeep, maxBytes: max_bytes ?? maxBytes } };
}

export function rollbackSpec({ tag, keep, keep_tag: keepTag }: RollbackRequest): RollbackSpec {
  return { keep, ...compact({ tag, keepTag }) };
}

function lifetimeSpec(request: LifetimeRequest): SpawnSpec['lifetime'] {
  return compact({
    endInMs: toMs(request.timeout_secs),
    endAtUnix: request.end_at_unix,
    idleTimeoutMs: toMs(request.idle_timeout_secs),
    onEnd: request.on_end,
    onEndTag: request.on_end_tag,
  });
}

function retentionSpec(request: RetentionRequest): NonNullable<BootSpec['retention']> {
  return compact({
    expiresInMs: toMs(request.expires_in_secs),
    expiresAtUnix: request.expires_at_unix,
    keepLast: request.keep_last,
  });
}

/** Whole milliseconds, so that they come back as the same seconds; the shortest time that is not none is one. */
export function toMs(secs: number): number;
export function toMs(secs: number | undefined): number | undefined;
export function toMs(secs: number | undefined): number | undefined {
  if (secs === undefined || secs === 0) return secs;
  return Math.max(1, Math.round(secs * 1000));
}
