/** Sandboxes: the object, how one is made, their routes. */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import {
  bytesSchema,
  ignoredSchema,
  plainTextSchema,
  sandboxNameSchema,
  tagSchema,
  unixSecondsSchema,
} from '../fields.js';
import { endpoints } from './endpoints.js';
import {
  lifetimeFields,
  onEndSchema,
  refuseSharedTag,
  refuseTwoEnds,
  timeoutRequestSchema,
} from './lifetime.js';
import { pageFields, pageHeaders, selectorSchema } from './lists.js';
import { networkFields, networkModeSchema } from './network.js';
import { byId, type RouteTable } from './route.js';

export const sandboxStateSchema = z.enum(['running', 'paused', 'unresponsive', 'failed']);

/** `namespaced` where the daemon is not root, `user` and `confined` where it is. */
export const ISOLATION_LEVELS = ['none', 'namespaced', 'user', 'confined'] as const;
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

/** What stands between the guest and the host. */
export const isolationSchema = z.object({
  accel: z.enum(['kvm', 'tcg']).describe('`tcg` is not a security boundary'),
  level: z
    .enum(ISOLATION_LEVELS)
    .describe(
      "`none`: the VMM runs as the daemon's user. `namespaced`: as that too, in namespaces of its own with no files but what a virtual machine needs, no network, and no hold on other processes. `user`: as one of its own, without capabilities and without a network, which reaches no files of the daemon's but its sandbox's. `confined`: also no other files than a virtual machine needs. A VMM that bough started before it was updated may share the host's network",
    ),
  uid: z.int().describe('user the VMM runs as'),
  seccomp: z.boolean().describe("whether QEMU's system call filter is on"),
  cgroup: z.boolean().describe('whether a cgroup holds it to its `memory_limit_mib`'),
});

/** Of a sandbox: what a kernel takes as the environment of a program, with room for the program's own. */
const MAX_ENV_CHARACTERS = 65_536;
const envSchema = z
  .record(plainTextSchema.regex(/^[^=]+$/, 'must be a variable name'), plainTextSchema)
  .refine(
    (env) => JSON.stringify(env).length <= MAX_ENV_CHARACTERS,
    `must not be longer than ${MAX_ENV_CHARACTERS} characters`,
  );

const metadataSchema = z.record(z.string().max(128), z.string().max(1024));

export const sandboxSchema = z.object({
  id: z.string().describe('opaque, unguessable, lower-case letters and digits'),
  snapshot_tag: z.string().describe('snapshot it started from'),
  guest_addr: z
    .string()
    .describe(
      "`host:port` of its agent in the sandbox's own network, which nobody else is in; a port of the host where an earlier version started it",
    ),
  created_at_unix: unixSecondsSchema,
  has_branched: z.boolean(),
  branch_count: z.int().min(0),
  netns: z.string().nullable(),
  pid: z.int().nullable().describe('process id of the VMM'),
  memory_limit_mib: z.int().nullable(),
  last_branch_memory_path: z.string().nullable().describe("memory file of its last branch's snapshot"),
  state: sandboxStateSchema
    .optional()
    .describe(
      '`paused`: its guest stands still until it is resumed. `unresponsive`: its VMM lives, but does not answer a daemon that came back; it is asked again until it does',
    ),
  state_reason: z.string().optional().describe('why it failed'),
  console_tail: z
    .string()
    .optional()
    .describe('the end of its console, at most 4 KiB, when its guest ended by itself; not in lists'),
  name: z.string().optional().describe('usable wherever an id is'),
  metadata: metadataSchema.optional(),
  parent: z.string().optional().describe('id of the sandbox its snapshot was branched from'),
  end_at_unix: unixSecondsSchema.optional().describe('when it ends'),
  idle_timeout_secs: z.number().optional().describe('seconds without use after which it ends'),
  on_end: onEndSchema.optional().describe('what happens at its end; always present when it has one'),
  on_end_tag: z.string().optional().describe('name its last snapshot gets'),
  last_used_at_unix: unixSecondsSchema.optional().describe('last exec, eval, ping, branch or fork'),
  warning: z
    .string()
    .optional()
    .describe('why it still runs although its end has come, or stands still, or cannot be branched'),
  memory_mib: z.int().optional().describe("the guest's RAM in MiB"),
  vcpus: z.int().optional(),
  private_bytes: bytesSchema.optional().describe('memory that it shares with nobody'),
  isolation: isolationSchema.optional(),
  network: z.object({ mode: networkModeSchema }).optional(),
});
/** A VM with an identity. */
export type Sandbox = z.infer<typeof sandboxSchema>;

export const spawnRequestSchema = z
  .object({
    snapshot_tag: tagSchema,
    n: z.int().min(1).max(1000).default(1).describe('how many sandboxes; all of them start or none does'),
    memory_limit_mib: z
      .int()
      .min(32)
      .max(1_048_576)
      .optional()
      .describe(
        'in MiB, of what only its VM has: the guest’s memory that it does not share, and QEMU itself. A VM that takes more is ended. Children of a fork have their source’s',
      ),
    name: sandboxNameSchema
      .optional()
      .describe('usable wherever an id is; for one sandbox, and no other has it'),
    metadata: metadataSchema.optional().describe('anything, to select by'),
    env: envSchema
      .optional()
      .describe('variables of every program that is run in it, unless that brings its own; not shown again'),
    ...lifetimeFields,
    ...networkFields,
    per_child_netns: ignoredSchema,
    live_fork: ignoredSchema,
    prewarm: ignoredSchema,
    hugepages: ignoredSchema,
  })
  .superRefine((request, context) => {
    refuseTwoEnds(request, context);
    refuseSharedTag(request, request.n, context);
    if (request.name !== undefined && request.n > 1)
      context.addIssue({
        code: 'custom',
        path: ['name'],
        message: 'needs a single sandbox: a name means one',
      });
  });
/** Start `n` sandboxes from one snapshot. */
export type SpawnRequest = z.output<typeof spawnRequestSchema>;
export type SpawnRequestInput = z.input<typeof spawnRequestSchema>;

export const removedSchema = z.object({
  removed: z.array(z.string()).describe('ids of those that are gone'),
  failed: z
    .array(z.object({ id: z.string(), error: z.string(), code: z.string() }))
    .describe('those that could not be ended, and why'),
});
/** What became of the sandboxes that a selector chose. */
export type RemovedSandboxes = z.infer<typeof removedSchema>;

const guestStatsSchema = z.object({
  cpu_time_ms: z
    .int()
    .min(0)
    .optional()
    .describe('processor time of its programs and kernel since it booted'),
  memory_total_bytes: bytesSchema.optional(),
  memory_available_bytes: bytesSchema.optional().describe('what programs could have besides'),
  disk_total_bytes: bytesSchema.optional().describe('of its root file system'),
  disk_free_bytes: bytesSchema.optional(),
  network_received_bytes: bytesSchema.optional().describe('since it booted, calls of the daemon included'),
  network_sent_bytes: bytesSchema.optional().describe('likewise'),
});

export const sandboxStatsSchema = z.object({
  cpu_time_ms: z
    .int()
    .min(0)
    .describe('processor time of its VMM since that was started, with that of its guest'),
  memory_unique_bytes: bytesSchema.describe(
    'memory that is its own: what it wrote since its snapshot, and its VMM',
  ),
  memory_shared_bytes: bytesSchema.describe(
    'memory that it uses and others may too: layers of snapshots, programs',
  ),
  memory_pss_bytes: bytesSchema.describe('its proportional share of all memory that it uses'),
  disk_unique_bytes: bytesSchema.describe('disk that would be free without it'),
  disk_shared_bytes: bytesSchema.describe('disk below it that snapshots or images have too'),
  guest: guestStatsSchema
    .optional()
    .describe('what the guest says of itself, where it runs and answers in time; it may say anything'),
});
/** What a sandbox uses. */
export type SandboxStats = z.infer<typeof sandboxStatsSchema>;

/** Where nothing can be said; whatever is said is refused by its name. */
const nothingSchema = z.strictObject({});

const pauseErrors = [
  'invalid_request',
  'sandbox_not_found',
  'sandbox_not_running',
  'rollback_in_progress',
  'vmm_failed',
] as const satisfies readonly ErrorCode[];

const restoreErrors = [
  'snapshot_not_usable',
  'snapshot_incompatible',
  'integrity_error',
  'no_memory',
  'limit_unusable',
  'too_many_mappings',
  'vmm_failed',
] as const satisfies readonly ErrorCode[];

/** Routes of sandboxes. */
export const sandboxRoutes = {
  listSandboxes: {
    ...endpoints.listSandboxes,
    kind: 'json',
    scope: 'read',
    summary: 'Every sandbox, or those selected, or a page of them.',
    resource: 'sandboxes',
    query: z.object({ selector: selectorSchema.optional(), ...pageFields }),
    replyHeaders: pageHeaders,
    replies: { 200: z.array(sandboxSchema) },
    errors: ['invalid_request'],
  },
  spawn: {
    ...endpoints.spawn,
    kind: 'json',
    scope: 'exec',
    keyed: true,
    summary:
      'Start sandboxes from a snapshot: all of them or none, also if the client leaves before there is an answer. The answer is an array for `n` = 1 too.',
    resource: 'sandboxes',
    body: spawnRequestSchema,
    replies: { 201: z.array(sandboxSchema) },
    errors: [
      'invalid_request',
      'snapshot_not_found',
      'name_exists',
      'no_space',
      'agent_unreachable',
      'secret_not_found',
      'egress_unavailable',
      ...restoreErrors,
    ],
  },
  getSandbox: {
    ...endpoints.getSandbox,
    kind: 'json',
    scope: 'read',
    summary: 'One sandbox.',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: sandboxSchema },
    errors: ['sandbox_not_found'],
  },
  removeSandbox: {
    ...endpoints.removeSandbox,
    kind: 'json',
    scope: 'exec',
    summary:
      'End a sandbox. When the answer arrives its process is gone. One that could not be ended stays listed, takes no calls, and is tried again until it is.',
    resource: 'sandboxes',
    params: byId,
    replies: { 204: null },
    errors: ['sandbox_not_found', 'no_space', 'vmm_failed'],
  },
  removeSandboxes: {
    ...endpoints.removeSandboxes,
    kind: 'json',
    scope: 'exec',
    summary: 'End all sandboxes that are selected, each as one that is ended by itself.',
    resource: 'sandboxes',
    query: z.strictObject({ selector: selectorSchema }),
    replies: { 200: removedSchema },
    errors: ['invalid_request'],
  },
  pauseSandbox: {
    ...endpoints.pauseSandbox,
    kind: 'json',
    scope: 'exec',
    summary:
      'Stop the processors of a sandbox. It keeps its memory, can be branched, and takes no calls into its guest; nothing of it is idle meanwhile, but an end in time comes. Pausing a paused one changes nothing.',
    resource: 'sandboxes',
    params: byId,
    body: nothingSchema,
    replies: { 200: sandboxSchema },
    errors: [...pauseErrors, 'branch_in_progress'],
  },
  resumeSandbox: {
    ...endpoints.resumeSandbox,
    kind: 'json',
    scope: 'exec',
    summary:
      "Let a paused sandbox run again; its guest's clock is set before the answer, if its agent answers.",
    resource: 'sandboxes',
    params: byId,
    body: nothingSchema,
    replies: { 200: sandboxSchema },
    errors: pauseErrors,
  },
  sandboxStats: {
    ...endpoints.sandboxStats,
    kind: 'json',
    scope: 'read',
    summary: 'What a sandbox uses of this host, now.',
    resource: 'sandboxes',
    params: byId,
    query: nothingSchema,
    replies: { 200: sandboxStatsSchema },
    errors: ['invalid_request', 'sandbox_not_found', 'sandbox_not_running'],
  },
  setTimeout: {
    ...endpoints.setTimeout,
    kind: 'json',
    scope: 'exec',
    summary:
      'Set when and how a sandbox ends: sooner, later or never. Using a sandbox never changes `end_at_unix`, it only puts off an idle end.',
    resource: 'sandboxes',
    params: byId,
    body: timeoutRequestSchema,
    replies: { 200: sandboxSchema },
    errors: ['invalid_request', 'sandbox_not_found', 'sandbox_not_running', 'rollback_in_progress'],
  },
} as const satisfies RouteTable;
