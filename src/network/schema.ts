/** The network policy as it crosses the wire. What the shapes cannot say, `Policy.compile` refuses. */
import { z } from 'zod';

const portsSchema = z
  .array(z.int().min(1).max(65_535))
  .min(1)
  .max(64)
  .describe('TCP ports; without it an allowed name means 80 and 443, everything else every port');

const targetSchema = z
  .string()
  .min(1)
  .max(300)
  .describe(
    'a name, `*.` and a name (all below it), an address, a CIDR, or `host` (the loopback of the host)',
  );

export const ruleSchema = z.union([
  z.strictObject({ allow: targetSchema, ports: portsSchema.optional() }),
  z.strictObject({ deny: targetSchema, ports: portsSchema.optional() }),
]);
export type Rule = z.infer<typeof ruleSchema>;

export const presetNameSchema = z.enum(['python', 'node', 'debian', 'github']);
export type PresetName = z.infer<typeof presetNameSchema>;

export const networkModeSchema = z
  .enum(['off', 'list', 'internet', 'none'])
  .describe(
    '`off`: nothing; `list`: what a rule allows; `internet`: also every public address; `none`: nothing, for ever',
  );

export const policySchema = z.strictObject({
  mode: networkModeSchema.default('off'),
  rules: z.array(ruleSchema).max(1000).default([]).describe('the first that matches decides, then the mode'),
  presets: z.array(presetNameSchema).max(4).default([]).describe('lists of rules that follow `rules`'),
  max_connections: z.int().min(1).max(1024).default(1024).describe('open at a time'),
});
/** A policy with its defaults filled in. */
export type PolicyWire = z.output<typeof policySchema>;
export type PolicyWireInput = z.input<typeof policySchema>;

/** What is asked of a policy before anything connects. */
export const checkRequestSchema = z.strictObject({
  host: z.string().min(1).max(300).describe('a name or an address, as a program would write it'),
  port: z.int().min(1).max(65_535),
});

export const checkReplySchema = z.object({
  verdict: z.enum(['allowed', 'refused']),
  rule: z.string().nullable().describe('the rule that decided, null when none did'),
  why: z.string(),
});
export type CheckReply = z.infer<typeof checkReplySchema>;
