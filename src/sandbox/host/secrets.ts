/** Secrets of this host, and sandboxes that use them: what is changed is in force at the egress when it is told to have been. */
import type { SecretRequest } from '../../contract/index.js';
import type { SecretView } from '../entity/secrets.js';
import type { HostContext } from './context.js';

/** Throws `invalid_request`, `egress_unavailable`: then it is written, and in force once the egress is back. */
export async function setSecret(
  { secrets, networks }: Pick<HostContext, 'secrets' | 'networks'>,
  name: string,
  request: SecretRequest,
): Promise<SecretView> {
  const view = await secrets.set(name, request);
  await networks.secretsChanged();
  return view;
}

/** Throws `secret_not_found`, `egress_unavailable`, as `setSecret`. */
export async function removeSecret(
  { secrets, networks }: Pick<HostContext, 'secrets' | 'networks'>,
  name: string,
): Promise<void> {
  await secrets.remove(name);
  await networks.secretsChanged();
}
