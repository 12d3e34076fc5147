/**
 * Addresses as a policy sees them: one form for each, whatever it was written as, and what kind it is.
 *
 * The idea: an address is public only if it lies where public addresses are given out and in none of the
 * ranges set aside there. Every other one is guarded, so a range nobody has thought of is guarded too. That
 * includes the forms of IPv6 that carry an IPv4 address in them (translation, tunnels): who could reach those
 * could reach any IPv4 address by them.
 *
 * Not handled: scopes of link-local addresses (`fe80::1%eth0` is the same as `fe80::1`).
 */
import ipaddr from 'ipaddr.js';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A block of addresses: its first, without any bit beyond the prefix, and how many bits they share. */
export interface Cidr {
  readonly first: Address;
  readonly prefixBits: number;
}

/** `public`, or the range that sets the address aside, as the library names it. */
export type AddressKind = string;

const GLOBAL_UNICAST_V6: Cidr = { first: ipaddr.parse('2000::'), prefixBits: 3 };

/** Set aside since the library's table was made, or not in it. */
const ALSO_SET_ASIDE: readonly { readonly kind: string; readonly cidr: Cidr }[] = [
  { kind: 'benchmarking', cidr: { first: ipaddr.parse('198.18.0.0'), prefixBits: 15 } },
  { kind: 'documentation', cidr: { first: ipaddr.parse('3fff::'), prefixBits: 20 } },
  { kind: 'reserved', cidr: { first: ipaddr.parse('2001::'), prefixBits: 23 } },
];

/**
 * The address that `text` means to a program which resolves it, in whatever form: octal, hexadecimal or
 * missing parts, in brackets, with a scope, IPv4 inside IPv6. Undefined if it is no address.
 */
export function parseAddress(text: string): Address | undefined {
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  const unscoped = bare.replace(/%.*$/, '');
  return ipaddr.isValid(unscoped) ? ipaddr.process(unscoped) : undefined;
}

/** An IPv4 address from its four bytes in network order. */
export function addressOfBytes(bytes: Uint8Array): Address {
  return new ipaddr.IPv4([...bytes]);
}

/** The loopback of the host, which a guest reaches at its gateway. */
export const LOOPBACK: Address = ipaddr.parse('127.0.0.1');

export function kindOf(address: Address): AddressKind {
  const other = ALSO_SET_ASIDE.find(({ cidr }) => contains(cidr, address));
  if (other !== undefined) return other.kind;
  const range = address.range();
  if (range !== 'unicast') return range;
  return address.kind() === 'ipv4' || contains(GLOBAL_UNICAST_V6, address) ? 'public' : 'reserved';
}

export function contains(cidr: Cidr, address: Address): boolean {
  return cidr.first.kind() === address.kind() && address.match(cidr.first, cidr.prefixBits);
}

/** Whether every address of `inner` lies in `outer`. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.prefixBits <= inner.prefixBits && contains(outer, inner.first);
}

/** Whether the block is this one address. */
export function isSingle(cidr: Cidr): boolean {
  return cidr.prefixBits === bitsOf(cidr.first);
}

/** The kind of all addresses of the block, undefined if there are several. */
export function kindOfAll(cidr: Cidr): AddressKind | undefined {
  const kind = kindOf(cidr.first);
  return kind === kindOf(lastOf(cidr)) ? kind : undefined;
}

/**
 * A block as a rule has it: `10.0.0.0/8`, `fd00::/8`, or one address. Odd forms are refused here, since who
 * reads a rule must see what it opens. The problem as the end of a sentence if it is not one.
 */
export function parseCidr(text: string): Cidr | { problem: string } {
  const [written = '', prefix, ...rest] = text.split('/');
  if (rest.length > 0 || !isPlainAddress(written)) {
    return { problem: 'is neither a name nor a block of addresses such as 10.0.0.0/8' };
  }
  const first = ipaddr.parse(written);
  if (first instanceof ipaddr.IPv6 && first.isIPv4MappedAddress()) {
    return { problem: `is IPv4 written as IPv6: write ${first.toIPv4Address().toString()} and its prefix` };
  }
  const prefixBits = prefix === undefined ? bitsOf(first) : prefixOf(prefix, first);
  if (prefixBits === undefined) return { problem: 'has no valid prefix length' };
  const start = firstOf({ first, prefixBits });
  if (start.toString() !== first.toString()) {
    return { problem: `has bits outside its prefix: write ${start.toString()}/${prefixBits}` };
  }
  return { first, prefixBits };
}

function isPlainAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(':') && ipaddr.IPv6.isValid(text));
}

function prefixOf(text: string, address: Address): number | undefined {
  return /^(0|[1-9]\d{0,2})$/.test(text) && Number(text) <= bitsOf(address) ? Number(text) : undefined;
}

function bitsOf(address: Address): number {
  return address.kind() === 'ipv4' ? 32 : 128;
}

function firstOf(cidr: Cidr): Address {
  return withHostBits(cidr, (byte, mask) => byte & mask);
}

function lastOf(cidr: Cidr): Address {
  return withHostBits(cidr, (byte, mask) => (byte & mask) | (~mask & 0xff));
}

function withHostBits({ first, prefixBits }: Cidr, change: (byte: number, mask: number) => number): Address {
  const bytes = first.toByteArray().map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixBits - 8 * index));
    return change(byte, (0xff << (8 - bits)) & 0xff);
  });
  return ipaddr.fromByteArray(bytes);
}
