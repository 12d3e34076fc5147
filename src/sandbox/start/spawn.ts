/**
 * Children of a snapshot: restore its instant into new VMs, each with an identity of its own.
 *
 *   lease -> restored -> record -> Sandbox
 *
 * A child that fails anywhere on the way is removed without a trace; the snapshot is not touched.
 */
import { compact, failpoint, ResourceStack, unixSeconds } from '../../base/index.js';
import type { NetworkPolicy } from '../../contract/index.js';
import type { Lease, Manifest, RequestKey } from '../../store/index.js';
import type { HostContext } from '../host/context.js';
import type { Lifetime } from '../entity/lifetime.js';
import type { SnapshotNetwork } from '../entity/networks.js';
import { writeRecord } from '../entity/record.js';
import { Sandbox } from '../entity/sandbox.js';
import { restore, type RestoredFields } from './restore.js';

/** What the caller may say about a child. */
export interface ChildOptions {
  readonly memoryLimitMiB?: number;
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly requestKey?: RequestKey | undefined;
  /** The snapshot's when absent. */
  readonly network?: NetworkPolicy | undefined;
  /** When and how it ends; asked when it is ready. */
  readonly lifetime?: () => Lifetime | undefined;
}

/** Restores one child of the leased snapshot. Throws leaf errors and BoughError; nothing is left then. */
export async function spawnChild(
  context: HostContext,
  lease: Lease,
  options: ChildOptions,
  signal?: AbortSignal,
): Promise<Sandbox> {
  await using undo = new ResourceStack();
  const { manifest } = lease;
  const network = networkOf(context, manifest, options);
  const { memoryLimitMiB } = options;
  const plan = {
    network,
    ...compact({ memoryLimitMiB }),
    record: (id: string, restored: RestoredFields) => ({
      ...restored,
      ...ownFields(options),
      ...{ id, createdAtUnix: unixSeconds(), branchCount: 0 },
      ...compact({ network: network?.policy, parent: manifest.branchedFrom }),
    }),
  };
  const { paths, record, vm } = await restore(context, lease, plan, undo, signal);
  const owned = { ...record, ...compact({ lifetime: options.lifetime?.() }) };
  await writeRecord(paths.record, owned);
  await failpoint('spawn.owned');
  undo.move();
  const { seccomp } = context.vmHost.qemu;
  return Sandbox.running(paths, owned, vm, { seccomp, emit: context.emit, networks: context.networks });
}

/** What was asked for, or what the snapshot has; whatever an address meant in the source it means here. */
function networkOf(
  { networks }: HostContext,
  { network }: Manifest,
  { network: asked }: ChildOptions,
): SnapshotNetwork | undefined {
  const policy = networks.checked(asked ?? network?.policy);
  return policy && { policy, names: network?.names ?? [] };
}

function ownFields({ name, metadata, env, requestKey, memoryLimitMiB }: ChildOptions) {
  return compact({
    ...{ name, requestKey, memoryLimitMiB },
    metadata: metadata && { ...metadata },
    env: env && { ...env },
  });
}
