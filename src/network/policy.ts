/**
 * What a sandbox may reach: the policy, all of it.
 *
 *   a name       the rules of names in order, first match wins, then the mode
 *   an address   the rules of addresses in order, first match wins, then the mode
 *   a name's     after the name was allowed, each address it resolves to: a rule of addresses that denies it drops
 *   addresses    it, one that allows it keeps it, and without any it is kept if it is public
 *
 * Invariant: a guarded address (not public, or the host's own) is reached only by a rule whose block was written
 * for such addresses (`namesGuarded`), whatever the mode, and however the address was written or resolved.
 *
 * Not handled: UDP, which nothing reaches; what is in requests.
 */
import type { NetworkPolicy, NetworkVerdict } from '../contract/index.js';
import { contains, kindOf, LOOPBACK, type Address } from './address.js';
import { matchesName, parseHost } from './name.js';
import { presetRules, type Presets } from './presets.js';
import {
  compileRule,
  HOST_ADDRESS,
  HOST_NAME,
  isAddressRule,
  isNameRule,
  matchesPort,
  namesGuarded,
  PolicyRefused,
  shadows,
  type AddressRule,
  type CompiledRule,
  type NameRule,
} from './rule.js';

/** Servers take it for a sign of abuse when mail comes from anywhere: a mode alone never opens it. */
const SMTP_PORT = 25;

/** `rule` is the text of the one that decided, undefined where the mode or a guard did. */
export interface Verdict {
  readonly allowed: boolean;
  readonly rule: string | undefined;
  readonly why: string;
}

/** The host's own addresses, in the form that `Address.toString` gives them. */
export type OwnAddresses = ReadonlySet<string>;

/** What a guest that asks for a name gets: an address at once; one if the name exists; its host's; nothing, and what decided that. */
export type Lookup = 'known' | 'resolve' | 'host' | Verdict;

export class Policy {
  readonly wire: NetworkPolicy;
  readonly #names: readonly NameRule[];
  readonly #addresses: readonly AddressRule[];

  private constructor(wire: NetworkPolicy, rules: readonly CompiledRule[]) {
    this.wire = wire;
    this.#names = rules.filter(isNameRule);
    this.#addresses = rules.filter(isAddressRule);
  }

  /** Throws PolicyRefused for what can never match or opens more than it seems to. */
  static compile(wire: NetworkPolicy, presets: Presets): Policy {
    const own = wire.rules.map((rule, index) => compileRule(rule, `rules[${index}]`));
    refuseIdle(wire);
    refuseShadowed(own);
    return new Policy(wire, [...own, ...presetRules(wire.presets, presets)]);
  }

  /** A name in its one form (`parseName`). Its addresses are judged one by one, by `judgeResolved`. */
  judgeName(name: string, port: number): Verdict {
    const rule = this.#names.find((each) => matchesName(each.pattern, name) && matchesPort(each, port));
    return rule === undefined ? this.#byMode(port) : byRule(rule);
  }

  /** An address that a guest asked for itself. */
  judgeAddress(address: Address, port: number, own: OwnAddresses): Verdict {
    const asked = address.toString() === HOST_ADDRESS ? LOOPBACK : address;
    const rule = this.#ruleFor(asked, port);
    if (rule?.allows === false) return byRule(rule);
    const guard = this.#guardOf(asked, port, own);
    if (guard !== undefined) return guard;
    return rule === undefined ? this.#byMode(port) : byRule(rule);
  }

  /** One address of a name that `judgeName` has allowed. */
  judgeResolved(address: Address, port: number, own: OwnAddresses): Verdict {
    const rule = this.#ruleFor(address, port);
    if (rule?.allows === false) return byRule(rule);
    return (
      this.#guardOf(address, port, own) ?? { allowed: true, rule: rule?.text, why: 'the name is allowed' }
    );
  }

  /** Whether a guest that asks for this name is told an address, on whatever port it may then be reached. */
  lookup(name: string): Lookup {
    if (name === HOST_NAME) return this.#reachesHost() ? 'host' : refused('no rule allows the host');
    for (const rule of this.#names.filter(({ pattern }) => matchesName(pattern, name))) {
      if (!rule.allows && rule.ports === undefined) return byRule(rule);
      const isOpen = [...(rule.ports ?? [])].some((port) => this.judgeName(name, port).allowed);
      if (rule.allows && isOpen) return rule.pattern.below ? 'resolve' : 'known';
    }
    return this.wire.mode === 'internet' ? 'resolve' : this.#byMode();
  }

  /** The verdict on what a program would write as its target, before anything is resolved. */
  check(host: string, port: number, own: OwnAddresses): NetworkVerdict {
    const { allowed, rule, why } = this.#judgeHost(host, port, own);
    return { verdict: allowed ? 'allowed' : 'refused', rule: rule ?? null, why };
  }

  #judgeHost(host: string, port: number, own: OwnAddresses): Verdict {
    const target = parseHost(host);
    if (target === undefined) return refused('it is neither a name nor an address');
    if ('address' in target) return this.judgeAddress(target.address, port, own);
    if (target.name === HOST_NAME) return this.judgeAddress(LOOPBACK, port, own);
    return this.judgeName(target.name, port);
  }

  #ruleFor(address: Address, port: number): AddressRule | undefined {
    return this.#addresses.find((each) => contains(each.cidr, address) && matchesPort(each, port));
  }

  /** A refusal if the address is guarded and no rule was written for it. */
  #guardOf(address: Address, port: number, own: OwnAddresses): Verdict | undefined {
    const kind = kindOf(address);
    const isOwn = own.has(address.toString());
    if (kind === 'public' && !isOwn) return undefined;
    const first = this.#addresses.find(
      (each) => matchesPort(each, port) && namesGuarded(each, address, isOwn),
    );
    if (first !== undefined) return byRule(first);
    return refused(`it is ${isOwn ? "the host's own address" : `of the kind ${kind}`}, which no rule names`);
  }

  #reachesHost(): boolean {
    return this.#addresses.some((rule) => rule.allows && contains(rule.cidr, LOOPBACK));
  }

  #byMode(port?: number): Verdict {
    const { mode } = this.wire;
    if (mode !== 'internet') return refused(`no rule allows it, and the mode is ${mode}`);
    if (port === SMTP_PORT) return refused('port 25 needs a rule');
    return { allowed: true, rule: undefined, why: 'the mode is internet' };
  }
}

function byRule(rule: CompiledRule): Verdict {
  return { allowed: rule.allows, rule: rule.text, why: `the rule "${rule.text}"` };
}

function refused(why: string): Verdict {
  return { allowed: false, rule: undefined, why };
}

function refuseIdle({ mode, rules, presets, secrets = [] }: NetworkPolicy): void {
  if (mode === 'list' || mode === 'internet') return;
  if (rules.length > 0) throw new PolicyRefused('rules', `have no effect in the mode "${mode}"`);
  if (presets.length > 0) throw new PolicyRefused('presets', `have no effect in the mode "${mode}"`);
  if (secrets.length > 0) throw new PolicyRefused('secrets', `have no effect in the mode "${mode}"`);
}

function refuseShadowed(rules: readonly CompiledRule[]): void {
  for (const [index, later] of rules.entries()) {
    const by = rules.slice(0, index).findIndex((earlier) => shadows(earlier, later));
    if (by !== -1) throw new PolicyRefused(`rules[${index}]`, `can never match: rules[${by}] comes first`);
  }
}
