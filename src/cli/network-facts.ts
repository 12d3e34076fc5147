/** A sandbox's network for people: its policy, a rule a line, and its counts. */

import type { Command } from 'commander';
import { plainLine } from '../base/table.js';
import type { Network, NetworkRule } from '../contract/index.js';
import type { Context } from './context.js';
import { formatBytes } from './format.js';
import { printFacts } from './output.js';

/** Prints it in the form that is asked for. */
export function printNetwork(command: Command, context: Context, id: string, network: Network): void {
  printFacts(command, context, network, id, factsOf);
}

function factsOf({ policy, ...counts }: Network): Record<string, string | number> {
  return {
    mode: policy.mode,
    rules: policy.rules.map(ruleText).join('  ') || 'none',
    presets: policy.presets.join(', ') || 'none',
    ...(policy.secrets === undefined ? {} : { secrets: policy.secrets.join(', ') }),
    ...counts,
    open: `${counts.open} of ${policy.max_connections}`,
    bytes_up: formatBytes(counts.bytes_up) ?? '',
    bytes_down: formatBytes(counts.bytes_down) ?? '',
  };
}

function ruleText(rule: NetworkRule): string {
  const [verdict, target] = 'allow' in rule ? ['allow', rule.allow] : ['deny', rule.deny];
  return plainLine(`${verdict} ${target}${rule.ports === undefined ? '' : `:${rule.ports.join(',')}`}`);
}
