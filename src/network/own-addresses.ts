/** Addresses of this host's interfaces, the loopback's too. */
import { networkInterfaces } from 'node:os';
import { parseAddress } from './address.js';
import type { OwnAddresses } from './policy.js';

/** Each in its one form, as they are now. */
export function ownAddresses(): OwnAddresses {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return new Set(all.flatMap(({ address }) => parseAddress(address)?.toString() ?? []));
}
