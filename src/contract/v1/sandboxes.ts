/** Sandboxes: the object, how one is made, their routes. */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { bytesSchema, ignoredSchema, plainTextSchema, tagSchema, unixSecondsSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import {
  lifetimeFields,
  onEndSchema,
  refuseSharedTag,
  refuseTwoEnds,
  timeoutRequestSchema,
} from './lifetime.js';
import { byId, type RouteTable } from './route.js';

export const sandboxStateSchema = z.enum(['running', 'unresponsive', 'failed']);

/** What stands between the guest and the host. */
export const isolationSchema = z.object({
  accel: z.enum(['kvm', 'tcg']).describe('`tcg` is not a security boundary'),
  uid: z.int().describe('user the VMM runs as'),
  seccomp: z.boolean().describe("whether QEMU's system call filter is on"),
  cgroup: z.boolean().describe('whether a cgroup limits it'),
});

const metadataSchema = z.record(z.string().max(128), z.string().max(1024));

export const sandboxSchema = z.object({
  id: z.string().describe('opaque, unguessable, lower-case letters and digits'),
  snapshot_tag: z.string().describe('snapshot it started from'),
  guest_addr: z.string().describe("`host:port` of the guest's agent"),
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
      '`unresponsive`: its VMM lives, but does not answer a daemon that came back; it is asked again until it does',
    ),
  state_reason: z.string().optional().describe('why it failed'),
  console_tail: z
    .string()
    .optional()
    .describe('the end of its console, at most 4 KiB, when its guest ended by itself; not in lists'),
  name: z.string().optional(),
  metadata: metadataSchema.optional(),
  parent: z.string().optional().describe('id of the sandbox its snapshot was branched from'),
  end_at_unix: unixSecondsSchema.optional().describe('when it ends'),
  idle_timeout_secs: z.number().optional().describe('seconds without use after which it ends'),
  on_end: onEndSchema.optional().describe('what happens at its end; always present when it has one'),
  on_end_tag: z.string().optional().describe('name its last snapshot gets'),
  last_used_at_unix: unixSecondsSchema.optional().describe('last exec, eval, ping, branch or fork'),
  warning: z.string().optional().describe('why it still runs although its end has come'),
  memory_mib: z.int().optional().describe("the guest's RAM in MiB"),
  vcpus: z.int().optional(),
  private_bytes: bytesSchema.optional().describe('memory that it shares with nobody'),
  isolation: isolationSchema.optional(),
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
      .describe('noted and shown, in MiB; nothing enforces it'),
    name: plainTextSchema.max(128).optional(),
    metadata: metadataSchema.optional(),
    ...lifetimeFields,
    per_child_netns: ignoredSchema,
    live_fork: ignoredSchema,
    prewarm: ignoredSchema,
    hugepages: ignoredSchema,
  })
  .superRefine((request, context) => {
    refuseTwoEnds(request, context);
    refuseSharedTag(request, request.n, context);
  });
/** Start `n` sandboxes from one snapshot. */
export type SpawnRequest = z.output<typeof spawnRequestSchema>;
export type SpawnRequestInput = z.input<typeof spawnRequestSchema>;

const restoreErrors = [
  'snapshot_not_usable',
  'snapshot_incompatible',
  'integrity_error',
  'no_memory',
  'too_many_mappings',
  'vmm_failed',
] as const satisfies readonly ErrorCode[];

/** Routes of sandboxes. */
export const sandboxRoutes = {
  listSandboxes: {
    ...endpoints.listSandboxes,
    kind: 'json',
    summary: 'Every sandbox.',
    resource: 'sandboxes',
    replies: { 200: z.array(sandboxSchema) },
    errors: [],
  },
  spawn: {
    ...endpoints.spawn,
    kind: 'json',
    keyed: true,
    summary:
      'Start sandboxes from a snapshot: all of them or none, also if the client leaves before there is an answer. The answer is an array for `n` = 1 too.',
    resource: 'sandboxes',
    body: spawnRequestSchema,
    replies: { 201: z.array(sandboxSchema) },
    errors: ['invalid_request', 'snapshot_not_found', 'no_space', 'agent_unreachable', ...restoreErrors],
  },
  getSandbox: {
    ...endpoints.getSandbox,
    kind: 'json',
    summary: 'One sandbox.',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: sandboxSchema },
    errors: ['sandbox_not_found'],
  },
  removeSandbox: {
    ...endpoints.removeSandbox,
    kind: 'json',
    summary: 'End a sandbox. When the answer arrives its process is gone.',
    resource: 'sandboxes',
    params: byId,
    replies: { 204: null },
    errors: ['sandbox_not_found'],
  },
  setTimeout: {
    ...endpoints.setTimeout,
    kind: 'json',
    summary:
      'Set when and how a sandbox ends: sooner, later or never. Using a sandbox never changes `end_at_unix`, it only puts off an idle end.',
    resource: 'sandboxes',
    params: byId,
    body: timeoutRequestSchema,
    replies: { 200: sandboxSchema },
    errors: ['invalid_request', 'sandbox_not_found', 'sandbox_not_running'],
  },
} as const satisfies RouteTable;
