/** The network of a sandbox that runs: what came of its policy, and another policy for it. */
import { BoughError, type Network, type NetworkPolicy } from '../../contract/index.js';
import { NO_NETWORK } from '../entity/networks.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { HostContext } from './context.js';

/** Throws `egress_unavailable`. */
export function viewNetwork(
  { networks }: Pick<HostContext, 'networks'>,
  { paths, record }: Pick<Sandbox, 'paths' | 'record'>,
): Promise<Network> {
  return networks.view(paths.id, record.network ?? NO_NETWORK);
}

/**
 * Replaces the policy. It is written down first: whatever fails after that, no older policy comes back. Throws `network_fixed`,
 * `invalid_request`, `sandbox_not_running`, `egress_unavailable`.
 */
export async function setNetwork(
  context: Pick<HostContext, 'networks'>,
  sandbox: Sandbox,
  policy: NetworkPolicy,
): Promise<Network> {
  sandbox.require('change-network');
  if (sandbox.record.network === undefined) throw new BoughError('network_fixed', { id: sandbox.id });
  if (policy.mode === 'none') {
    const problem = 'is only for a sandbox that starts: "off" lets one that runs reach nothing';
    throw new BoughError('invalid_request', { field: 'mode', problem });
  }
  context.networks.checked(policy, '');
  await sandbox.update({ network: policy });
  await context.networks.replace(sandbox.paths, policy);
  return viewNetwork(context, sandbox);
}
