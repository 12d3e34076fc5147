/**
 * One rule, compiled: whom it is about, which ports, and what it says.
 *
 * A rule is about names or about addresses, never both: names are decided on before they are resolved.
 * `host` is the loopback of the host, which a guest reaches at the gateway's address.
 */
import type { NetworkRule } from '../contract/index.js';
import {
  contains,
  covers,
  isSingle,
  kindOf,
  kindOfAll,
  LOOPBACK,
  parseCidr,
  type Address,
  type Cidr,
} from './address.js';
import { coversPattern, parsePattern, type NamePattern } from './name.js';

/** The name by which a guest may ask for its host, and where it finds it. */
export const HOST_NAME = 'host.bough.internal';
export const HOST_ADDRESS = '10.0.2.2';

const WEB_PORTS: readonly number[] = [80, 443];

interface Terms {
  readonly allows: boolean;
  /** Undefined for every port. */
  readonly ports: ReadonlySet<number> | undefined;
  /** As a person would say it, for logs and answers. */
  readonly text: string;
}
export interface NameRule extends Terms {
  readonly pattern: NamePattern;
}
export interface AddressRule extends Terms {
  readonly cidr: Cidr;
}
export type CompiledRule = NameRule | AddressRule;

/** A policy that cannot be: `path` names the part, `problem` ends a sentence that begins with it. */
export class PolicyRefused extends Error {
  override readonly name = 'PolicyRefused';
  readonly path: string;
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(`Invalid network policy: "${path}" ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}

/** Throws PolicyRefused, with `path` for where the rule stands. */
export function compileRule(rule: NetworkRule, path: string): CompiledRule {
  const [verb, target] = 'allow' in rule ? (['allow', rule.allow] as const) : (['deny', rule.deny] as const);
  const allows = verb === 'allow';
  const terms = (ports: readonly number[] | undefined): Terms => ({
    allows,
    ports: ports && new Set(ports),
    text: `${verb} ${target}${rule.ports === undefined ? '' : ` on ${rule.ports.join(', ')}`}`,
  });
  if (target === 'host') return hostRule(terms(rule.ports), `${path}.${verb}`);
  const pattern = parsePattern(target);
  if (pattern === undefined) return { ...terms(rule.ports), cidr: cidrOf(target, `${path}.${verb}`) };
  if (pattern.suffix === HOST_NAME) throw new PolicyRefused(`${path}.${verb}`, 'is the host: write "host"');
  return { ...terms(rule.ports ?? (allows ? WEB_PORTS : undefined)), pattern };
}

function hostRule(terms: Terms, path: string): AddressRule {
  if (terms.allows && terms.ports === undefined) {
    throw new PolicyRefused(path, 'needs "ports": everything on the loopback of the host would be open');
  }
  return { ...terms, cidr: { first: LOOPBACK, prefixBits: 32 } };
}

function cidrOf(target: string, path: string): Cidr {
  if (target === '*') throw new PolicyRefused(path, 'would be every name: use the mode "internet"');
  const cidr = parseCidr(target);
  if ('problem' in cidr) throw new PolicyRefused(path, cidr.problem);
  return cidr;
}

export function isNameRule(rule: CompiledRule): rule is NameRule {
  return 'pattern' in rule;
}

export function isAddressRule(rule: CompiledRule): rule is AddressRule {
  return 'cidr' in rule;
}

export function matchesPort(rule: CompiledRule, port: number): boolean {
  return rule.ports?.has(port) ?? true;
}

/** Whether nothing is left for `later` once `earlier` had its say. */
export function shadows(earlier: CompiledRule, later: CompiledRule): boolean {
  const covering =
    isNameRule(earlier) && isNameRule(later)
      ? coversPattern(earlier.pattern, later.pattern)
      : !isNameRule(earlier) && !isNameRule(later) && covers(earlier.cidr, later.cidr);
  return covering && coversPorts(earlier, later);
}

function coversPorts(earlier: CompiledRule, later: CompiledRule): boolean {
  if (earlier.ports === undefined) return true;
  return later.ports !== undefined && [...later.ports].every((port) => earlier.ports?.has(port));
}

/**
 * Whether a rule that matches a guarded address was written for such addresses: its block holds no other
 * kind, so `0.0.0.0/0` opens nothing that is guarded. An address of the host itself must be named alone,
 * unless it is of the loopback.
 */
export function namesGuarded(rule: AddressRule, address: Address, isOwn: boolean): boolean {
  if (!contains(rule.cidr, address)) return false;
  if (isSingle(rule.cidr)) return true;
  const kind = kindOf(address);
  return kind !== 'public' && kindOfAll(rule.cidr) === kind && (!isOwn || kind === 'loopback');
}
