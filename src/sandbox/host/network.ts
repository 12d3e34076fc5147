/** The network of a sandbox that runs: what came of its policy, and another policy for it. */
import { BoughError, type Network, type NetworkPolicy } from '../../contract/index.js';
import { NO_NETWORK } from '../entity/networks.js';
import type { Sandbox } from '../entity/sandbox.js';
import { tellToTrust, trustEgress } from '../entity/trust.js';
import type { HostContext } from './context.js';
import { catalogued } from './failures.js';

/** Throws `egress_unavailable`. */
export function viewNetwork(
  { networks }: Pick<HostContext, 'networks'>,
  { paths, record }: Pick<Sandbox, 'paths' | 'record'>,
): Promise<Network> {
  return networks.view(paths.id, record.network ?? NO_NETWORK);
}

/**
 * Replaces the policy. It is written down first: whatever fails after that, no older policy comes back. Throws `network_fixed`,
 * `invalid_request`, `secret_not_found`, `sandbox_not_running`, `egress_unavailable`, and what the agent's errors become: a guest trusts
 * the egress before its requests are opened.
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
  if (policy.secrets !== undefined) {
    const certificate = await context.networks.certificate();
    const operation = { operation: 'make the guest trust the egress', sandboxId: sandbox.id };
    await catalogued(operation, async () => {
      await trustEgress(sandbox.agent, certificate);
      await tellToTrust(sandbox.agent);
    });
    // Else a rollback that has begun since would go on with the policy of before.
    sandbox.require('change-network');
  }
  await sandbox.update({ network: policy });
  await context.networks.replace(sandbox.paths, policy);
  return viewNetwork(context, sandbox);
}
