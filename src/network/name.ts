/**
 * Names of hosts, and the patterns that rules have of them.
 *
 * Invariant: what `parseName` returns is lower-case ASCII, has no dot at its end, and is nothing that any
 * resolver takes for an address: a name whose last part is a number is one to them (`0x7f.1`, `2130706433`).
 */
import { domainToASCII } from 'node:url';
import { parseAddress, type Address } from './address.js';

const MAX_NAME_LENGTH = 253;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NUMBER = /^(\d+|0x[0-9a-f]*)$/;

/** A name by itself, or every name below it, at any depth, and not itself. */
export interface NamePattern {
  readonly suffix: string;
  readonly below: boolean;
}

/** The host that `text` means: a name in its one form, or an address. Undefined if it can be neither. */
export function parseHost(text: string): { name: string } | { address: Address } | undefined {
  const undotted = text.endsWith('.') ? text.slice(0, -1) : text;
  const address = parseAddress(undotted);
  if (address !== undefined) return { address };
  const ascii = isAscii(undotted) ? undotted.toLowerCase() : domainToASCII(undotted);
  const name = parseName(ascii);
  if (name !== undefined) return { name };
  const spelled = parseAddress(ascii); // such as full-width digits
  return spelled === undefined ? undefined : { address: spelled };
}

/** The one form of a name in ASCII, undefined if it is none. */
export function parseName(text: string): string | undefined {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  const labels = name.split('.');
  const isName = name.length <= MAX_NAME_LENGTH && labels.every((label) => LABEL.test(label));
  return isName && !NUMBER.test(labels.at(-1) ?? '') ? name : undefined;
}

/** `example.org` or `*.example.org`; undefined if it is neither. */
export function parsePattern(text: string): NamePattern | undefined {
  const below = text.startsWith('*.');
  const host = parseHost(below ? text.slice(2) : text);
  return host !== undefined && 'name' in host ? { suffix: host.name, below } : undefined;
}

export function matchesName({ suffix, below }: NamePattern, name: string): boolean {
  return below ? name.endsWith(`.${suffix}`) : name === suffix;
}

/** Whether every name of `inner` is one of `outer`. */
export function coversPattern(outer: NamePattern, inner: NamePattern): boolean {
  if (!outer.below) return !inner.below && inner.suffix === outer.suffix;
  return matchesName(outer, inner.suffix) || (inner.below && inner.suffix === outer.suffix);
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
