/** Sandboxes on the wire: the object, how one is made, and the calls into its guest. */

import { z } from 'zod';
import {
  bytesSchema,
  ignoredSchema,
  plainTextSchema,
  tagSchema,
  timeoutSecsSchema,
  unixSecondsSchema,
} from './fields.js';
import { lifetimeFields, onEndSchema, refuseSharedTag, refuseTwoEnds } from './lifetime.js';

export const sandboxStateSchema = z.enum(['running', 'unresponsive', 'failed']);
export type SandboxState = z.infer<typeof sandboxStateSchema>;

export const isolationSchema = z.object({
  accel: z.enum(['kvm', 'tcg']).describe('`tcg` is not a security boundary'),
  uid: z.int().describe('user the VMM runs as'),
  seccomp: z.boolean().describe("whether QEMU's system call filter is on"),
  cgroup: z.boolean().describe('whether a cgroup limits it'),
});
/** What stands between the guest and the host. */
export type Isolation = z.infer<typeof isolationSchema>;

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
    .describe('the end of its console, at most 4 KiB, when its guest ended by itself'),
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

export const execRequestSchema = z.object({
  args: z.array(plainTextSchema).min(1).max(4096).describe('program and arguments; no shell is involved'),
  timeout_secs: timeoutSecsSchema.default(30),
  env: z
    .record(plainTextSchema.regex(/^[^=]+$/, 'must be a variable name'), plainTextSchema)
    .optional()
    .describe('variables added to the environment'),
  cwd: plainTextSchema.max(4095).optional().describe('working directory in the guest'),
  stdin: z.string().optional().describe('text on standard input'),
});
/** Run a program in the guest and wait for it. */
export type ExecRequest = z.output<typeof execRequestSchema>;
export type ExecRequestInput = z.input<typeof execRequestSchema>;

export const execResultSchema = z.object({
  stdout: z.string().describe('as text; bytes that are not UTF-8 become U+FFFD'),
  stderr: z.string().describe('likewise'),
  exit_code: z.int().describe('128 + signal number when a signal ended it'),
  truncated: z.boolean().describe('whether output was left out'),
});
export type ExecResult = z.infer<typeof execResultSchema>;

export const evalRequestSchema = z.object({
  code: z.string().describe("an expression for the image's warm interpreter"),
  timeout_secs: timeoutSecsSchema.default(30),
});
/** Evaluate an expression in the guest's warm interpreter. */
export type EvalRequest = z.output<typeof evalRequestSchema>;
export type EvalRequestInput = z.input<typeof evalRequestSchema>;

export const evalResultSchema = z.object({
  result: z.string().nullable().describe('value of an expression; null for statements'),
  error: z.string().nullable().describe('traceback of the code'),
  exit_code: z.int(),
  stdout: z.string().describe('what was printed meanwhile, as text; bytes that are not UTF-8 become U+FFFD'),
  stderr: z.string().describe('likewise'),
  truncated: z.boolean().describe('whether output was left out'),
});
export type EvalResult = z.infer<typeof evalResultSchema>;

export const pingResultSchema = z.looseObject({ pong: z.literal(true) });
/** The agent's answer; it may say more than `pong`. */
export type PingResult = z.infer<typeof pingResultSchema>;
