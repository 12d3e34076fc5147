/**
 * One connection of a guest: decided on, made, and spliced.
 *
 *   judged ──allowed──▶ resolved ──addresses that may be──▶ connected ──▶ accepted, spliced
 *      └──refused──────────┴──none───────────────────────────┴──nobody there──▶ refused
 *
 * The guest says a name's address, and which address of the real name is connected to is decided here, once: there
 * is nothing between the look at an address and its use that could answer differently.
 */
import { connect as netConnect, type Socket } from 'node:net';
import { messageOf } from '../../base/index.js';
import { parseAddress, type Address } from '../address.js';
import type { OwnAddresses, Policy, Verdict } from '../policy.js';
import { HOST_ADDRESS } from '../rule.js';
import { httpName, tlsHello, type FirstName } from './first-words.js';
import type { Resolve } from './resolver.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** Addresses of one name that are tried. */
const MAX_TRIED = 3;

/** Whom a guest wants to reach. */
export interface Target {
  readonly name: string | undefined;
  readonly address: Address;
  readonly port: number;
}

export interface Route extends Verdict {
  /** Addresses that may be connected to, by the policy that made the verdict. */
  readonly addresses: readonly string[];
}

/** What the policy says of a target by itself. */
export function judge(policy: Policy, { name, address, port }: Target, own: OwnAddresses): Verdict {
  return name === undefined ? policy.judgeAddress(address, port, own) : policy.judgeName(name, port);
}

/** The verdict, and the addresses that it opens. */
export async function routeTo(
  policy: Policy,
  target: Target,
  own: OwnAddresses,
  resolve: Resolve,
): Promise<Route> {
  const verdict = judge(policy, target, own);
  if (!verdict.allowed) return { ...verdict, addresses: [] };
  if (target.name === undefined) return { ...verdict, addresses: [reachable(target.address)] };
  try {
    return usable(policy, target.port, verdict, await resolve(target.name), own);
  } catch (error) {
    return refusedRoute(verdict, `the name could not be resolved: ${messageOf(error)}`);
  }
}

/** The gateway's address means the loopback of the host. */
function reachable(address: Address): string {
  return address.toString() === HOST_ADDRESS ? '127.0.0.1' : address.toString();
}

function usable(
  policy: Policy,
  port: number,
  verdict: Verdict,
  found: readonly string[],
  own: OwnAddresses,
): Route {
  if (found.length === 0) return refusedRoute(verdict, 'there is no such name');
  const judged = found.flatMap((text) => {
    const address = parseAddress(text);
    return address === undefined ? [] : [{ text, ...policy.judgeResolved(address, port, own) }];
  });
  const addresses = judged.filter(({ allowed }) => allowed).map(({ text }) => text);
  if (addresses.length > 0) return { ...verdict, addresses };
  return {
    allowed: false,
    rule: judged[0]?.rule,
    why: `private_address: ${judged[0]?.why ?? 'none'}`,
    addresses,
  };
}

function refusedRoute(verdict: Verdict, why: string): Route {
  return { allowed: false, rule: verdict.rule, why, addresses: [] };
}

/** A connection to the first of the addresses that takes one; rejects with the last one's reason. */
export async function connectAny(
  addresses: readonly string[],
  port: number,
): Promise<{ socket: Socket; to: string }> {
  let last: unknown = new Error('No address');
  for (const to of addresses.slice(0, MAX_TRIED)) {
    try {
      return { socket: await connectTo(to, port), to };
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

function connectTo(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host, port, noDelay: true, allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(new Error('Nobody answered')), CONNECT_TIMEOUT_MS);
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(timer));
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** How the first words of a client are looked at: only where a name was asked for, on the ports of TLS and HTTP. */
export function firstWordsOf({ name, port }: Target): ((said: Buffer) => FirstName) | undefined {
  if (name === undefined) return undefined;
  return port === 443 ? tlsHello : port === 80 ? httpName : undefined;
}
