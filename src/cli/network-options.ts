/** Options that make a network policy. Rules keep the order in which they are given, since the first that matches decides. */

import { InvalidArgumentError, Option, type Command } from 'commander';
import type { NetworkPolicyInput, NetworkPreset, NetworkRule } from '../contract/index.js';
import { wholeNumber } from './arguments.js';
import { UsageError } from './exit.js';

const modes = ['off', 'list', 'internet', 'none'] as const;
const presets = ['python', 'node', 'debian', 'github'] as const satisfies readonly NetworkPreset[];

export interface NetworkOptions {
  network?: (typeof modes)[number];
  allow?: NetworkRule[];
  preset?: NetworkPreset[];
  maxConnections?: number;
  secret?: string[];
}

export function addNetworkOptions(command: Command): Command {
  // One list for both options: what is given first is asked first.
  const rules: NetworkRule[] = [];
  const rule = (verdict: 'allow' | 'deny') => (text: string) => {
    rules.push(networkRule(verdict, text));
    return rules;
  };
  return command
    .addOption(
      new Option(
        '--network <mode>',
        'none, off, list (what a rule allows) or internet (public addresses too); list when rules are given',
      ).choices(modes),
    )
    .option(
      '--allow <target>',
      'a name, *.name, address, CIDR or host, with :port,... if need be; may be repeated',
      rule('allow'),
    )
    .option('--deny <target>', 'likewise; of --allow and --deny the first that matches decides', rule('deny'))
    .addOption(
      new Option('--preset <name>', 'what this kind of work needs; may be repeated')
        .choices(presets)
        .argParser((text: string, earlier: NetworkPreset[] | undefined) => [
          ...(earlier ?? []),
          networkPreset(text),
        ]),
    )
    .option(
      '--secret <name>',
      'put this secret into its requests to the hosts that it is for; may be repeated',
      (text: string, earlier: string[] | undefined) => [...(earlier ?? []), text],
    )
    .option('--max-connections <n>', 'open at a time', wholeNumber(1, 1024));
}

/** The policy that the options make; undefined when none is given. */
export function networkPolicy(
  options: NetworkOptions & { deny?: NetworkRule[] },
): NetworkPolicyInput | undefined {
  const { network, preset, maxConnections, secret } = options;
  const rules = options.allow ?? options.deny;
  if ([network, rules, preset, maxConnections, secret].every((given) => given === undefined))
    return undefined;
  if (network === undefined && rules === undefined && preset === undefined)
    throw new UsageError(
      `${secret === undefined ? '--max-connections' : '--secret'} needs --network, a rule or a --preset`,
    );
  const mode = network ?? 'list';
  return { mode, rules, presets: preset, max_connections: maxConnections, secrets: secret };
}

function networkPreset(text: string): NetworkPreset {
  const preset = presets.find((each) => each === text);
  if (preset === undefined) throw new InvalidArgumentError(`Allowed choices are ${presets.join(', ')}.`);
  return preset;
}

/** `pypi.org`, `pypi.org:443,80`, `10.0.0.0/8`, `[fd00::1]:53`, `fd00::/8`. */
export function networkRule(verdict: 'allow' | 'deny', text: string): NetworkRule {
  const [, bracketed, plain = '', ports] =
    /^(?:\[([^\]]*)\]|([^[\]]*?))(?::(\d+(?:,\d+)*))?$/.exec(text) ?? [];
  // An address of IPv6 has colons of its own; with a port it needs brackets.
  const isBareIpv6 = bracketed === undefined && plain.includes(':');
  const target = isBareIpv6 ? text : (bracketed ?? plain);
  if (target === '') throw new InvalidArgumentError('It must be like pypi.org, pypi.org:443 or 10.0.0.0/8.');
  const rule = ports === undefined || isBareIpv6 ? {} : { ports: ports.split(',').map(Number) };
  return verdict === 'allow' ? { allow: target, ...rule } : { deny: target, ...rule };
}
