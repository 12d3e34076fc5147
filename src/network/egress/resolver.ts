/**
 * Names to addresses, by the host's resolver, as c-ares asks it: `getaddrinfo` would block one of Node's few
 * threads for each name that is slow. What was found is kept as long as its TTL says, within bounds.
 *
 * Not handled: IPv6, and names of the host's own hosts file.
 */
import { Resolver } from 'node:dns/promises';
import { errorCode, monotonicMs } from '../../base/index.js';

const MAX_KEPT = 4096;
const LEAST_TTL_SECS = 5;
const LONGEST_TTL_SECS = 300;
const TIMEOUT_MS = 3_000;

/** The addresses of a name, none if there is no such name; rejects if that could not be found out. */
export type Resolve = (name: string) => Promise<readonly string[]>;

interface Kept {
  readonly addresses: readonly string[];
  readonly untilMs: number;
}

/** `servers` as `dns.setServers` takes them, in place of the host's own. */
export function cachedResolver(servers?: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const kept = new Map<string, Kept>();
  const asked = new Map<string, ReturnType<typeof ask>>();
  return async (name) => {
    const known = kept.get(name);
    if (known !== undefined && known.untilMs > monotonicMs()) return known.addresses;
    // Whoever asks meanwhile waits for the same answer: a guest's questions are no more questions of ours.
    const asking = asked.get(name) ?? ask(resolver, name).finally(() => asked.delete(name));
    asked.set(name, asking);
    const { addresses, ttlSecs } = await asking;
    const [oldest] = kept.keys();
    if (oldest !== undefined && kept.size >= MAX_KEPT) kept.delete(oldest);
    kept.set(name, { addresses, untilMs: monotonicMs() + 1000 * ttlSecs });
    return addresses;
  };
}

async function ask(resolver: Resolver, name: string): Promise<{ addresses: string[]; ttlSecs: number }> {
  try {
    const records = await resolver.resolve4(name, { ttl: true });
    const ttlSecs = Math.min(LONGEST_TTL_SECS, ...records.map(({ ttl }) => ttl));
    return {
      addresses: records.map(({ address }) => address),
      ttlSecs: Math.max(LEAST_TTL_SECS, ttlSecs),
    };
  } catch (error) {
    if (!['ENOTFOUND', 'ENODATA'].includes(errorCode(error) ?? '')) throw error;
    return { addresses: [], ttlSecs: LEAST_TTL_SECS };
  }
}
