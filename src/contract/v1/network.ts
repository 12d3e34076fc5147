/**
 * What a sandbox may reach: the policy, what came of it, the routes. A policy that can never mean what it says is refused as a whole,
 * unknown fields too; what the shapes cannot say is in src/network/policy.ts.
 */
import { z } from 'zod';
import { bytesSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, type RouteTable } from './route.js';
import { secretNameSchema } from './secrets.js';

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

export const networkRuleSchema = z.union([
  z.strictObject({ allow: targetSchema, ports: portsSchema.optional() }),
  z.strictObject({ deny: targetSchema, ports: portsSchema.optional() }),
]);
export type NetworkRule = z.infer<typeof networkRuleSchema>;

export const networkPresetSchema = z.enum(['python', 'node', 'debian', 'github']);
export type NetworkPreset = z.infer<typeof networkPresetSchema>;

export const networkModeSchema = z
  .enum(['off', 'list', 'internet', 'none'])
  .describe(
    '`none`: no network, and none can be given later; `off`: nothing now; `list`: what a rule allows; `internet`: also every public address',
  );
export type NetworkMode = z.infer<typeof networkModeSchema>;

export const networkPolicySchema = z.strictObject({
  mode: networkModeSchema.default('off'),
  rules: z
    .array(networkRuleSchema)
    .max(1000)
    .default([])
    .describe('the first that matches decides, then the mode'),
  presets: z
    .array(networkPresetSchema)
    .max(4)
    .default([])
    .describe('lists of rules that the host keeps under these names; they follow `rules`'),
  secrets: z
    .array(secretNameSchema)
    .min(1)
    .max(32)
    .optional()
    .describe(
      'secrets of this host that are put into its requests to the hosts each is for; a rule has to allow those hosts',
    ),
  max_connections: z.int().min(1).max(1024).default(1024).describe('open at a time'),
});
/** A policy with its defaults filled in. */
export type NetworkPolicy = z.output<typeof networkPolicySchema>;
export type NetworkPolicyInput = z.input<typeof networkPolicySchema>;

/** The field of requests that start something. */
export const networkFields = {
  network: networkPolicySchema
    .optional()
    .describe(
      "what it may reach; the snapshot's policy when absent, and without one what the daemon has for such (`none`, unless told otherwise)",
    ),
};

export const networkSchema = z.object({
  policy: networkPolicySchema,
  open: z.int().describe('connections open now'),
  connections: z.int().describe('let through so far; like all counts, since it started or the egress did'),
  refused: z.int(),
  queries: z.int().describe('names asked for'),
  bytes_up: bytesSchema,
  bytes_down: bytesSchema,
});
/** A sandbox's network. */
export type Network = z.infer<typeof networkSchema>;

/** What is asked of a policy before anything connects. */
export const networkCheckSchema = z.strictObject({
  host: z.string().min(1).max(300).describe('a name or an address, as a program would write it'),
  port: z.int().min(1).max(65_535),
});
export type NetworkCheck = z.infer<typeof networkCheckSchema>;

export const networkVerdictSchema = z.object({
  verdict: z.enum(['allowed', 'refused']),
  rule: z.string().nullable().describe('the rule that decided, null when none did'),
  why: z.string(),
});
export type NetworkVerdict = z.infer<typeof networkVerdictSchema>;

export const networkLogQuerySchema = z.strictObject({
  follow: z
    .enum(['', 'true', '1', 'false', '0'])
    .optional()
    .transform((text) => text === '' || text === 'true' || text === '1')
    .describe('go on with what is logged from now on'),
});

/** Routes of a sandbox's network. */
export const networkRoutes = {
  getNetwork: {
    ...endpoints.getNetwork,
    kind: 'json',
    scope: 'read',
    summary: "A sandbox's network: its policy, and what came of it.",
    resource: 'sandboxes',
    params: byId,
    replies: { 200: networkSchema },
    errors: ['sandbox_not_found', 'egress_unavailable'],
  },
  setNetwork: {
    ...endpoints.setNetwork,
    kind: 'json',
    scope: 'exec',
    summary:
      "Replace a running sandbox's policy as a whole. It is in force when the answer arrives; open connections that it refuses are cut.",
    resource: 'sandboxes',
    params: byId,
    body: networkPolicySchema,
    replies: { 200: networkSchema },
    errors: [
      'invalid_request',
      'sandbox_not_found',
      'sandbox_not_running',
      'rollback_in_progress',
      'network_fixed',
      'secret_not_found',
      'egress_unavailable',
    ],
  },
  checkNetwork: {
    ...endpoints.checkNetwork,
    kind: 'json',
    scope: 'read',
    summary: 'What the policy says of a name or an address. Nothing is resolved or connected to.',
    resource: 'sandboxes',
    params: byId,
    body: networkCheckSchema,
    replies: { 200: networkVerdictSchema },
    errors: ['invalid_request', 'sandbox_not_found'],
  },
  networkLog: {
    ...endpoints.networkLog,
    kind: 'stream',
    scope: 'read',
    summary:
      'What became of its connections and of the names it asked for: JSON lines, oldest first. With `follow` empty lines say that the daemon is there.',
    resource: 'sandboxes',
    params: byId,
    query: networkLogQuerySchema,
    replies: { 200: 'application/x-ndjson' },
    errors: ['sandbox_not_found'],
  },
} as const satisfies RouteTable;
