/**
 * Presets: lists of rules by name, appended to a policy's own.
 *
 * The names of package indexes are the operator's to say: many have a mirror, and what a preset opens should be
 * read where it is configured. So the four names are fixed, and their rules come from a file of the host; what
 * is not in it is refused by name.
 */
import { z } from 'zod';
import { networkPresetSchema, networkRuleSchema, type NetworkPreset } from '../contract/index.js';
import { compileRule, PolicyRefused, type CompiledRule } from './rule.js';

/** The file: `{"python": [{"allow": "index.example", "ports": [443]}], …}`; a preset may be missing. */
export const presetsSchema = z.partialRecord(networkPresetSchema, z.array(networkRuleSchema).min(1).max(200));
export type Presets = z.infer<typeof presetsSchema>;

/** The rules of the presets, in the order asked for. Throws PolicyRefused. */
export function presetRules(names: readonly NetworkPreset[], presets: Presets): CompiledRule[] {
  return names.flatMap((name, index) => {
    const rules = presets[name];
    if (rules === undefined) {
      throw new PolicyRefused(`presets[${index}]`, `is not configured on this host: "${name}" has no rules`);
    }
    return rules.map((rule, at) => compileRule(rule, `presets.${name}[${at}]`));
  });
}
