/** Snapshots: the object, the requests about it, their routes. Fields may be added, never renamed, retyped or dropped. */

import { z } from 'zod';
import {
  absolutePathSchema,
  bytesSchema,
  imageNameSchema,
  millisecondsSchema,
  plainTextSchema,
  tagSchema,
  unixSecondsSchema,
  flagSchema,
} from '../fields.js';
import { endpoints } from './endpoints.js';
import { expiryFields, refuseTwoExpiries } from './lifetime.js';
import { pageFields, pageHeaders } from './lists.js';
import { networkFields } from './network.js';
import { byTag, type RouteTable } from './route.js';
import { refuseReadyAlone, serviceFields } from './service.js';

/** How a branch captures memory: `live` copies while the guest runs, `diff` and `full` inside the pause. */
export const branchModeSchema = z.enum(['full', 'diff', 'live']);
export type BranchMode = z.infer<typeof branchModeSchema>;

/** `writing` until it can be used, `ready` when children can start from it, `failed` after anything else. */
export const snapshotStatusSchema = z.enum(['writing', 'ready', 'failed']);

export const snapshotSchema = z.object({
  tag: z.string().describe('name'),
  dir: z.string().describe('absolute path of its folder'),
  created_at_unix: unixSecondsSchema,
  status: snapshotStatusSchema,
  bootable: z.boolean().describe('whether a sandbox can start from it'),
  branched_from: z.string().optional().describe('id of the sandbox it was branched from'),
  mode: branchModeSchema.optional().describe('how the branch captured memory'),
  pause_ms: millisecondsSchema
    .optional()
    .describe('pause window of the branch: vCPUs stopped to vCPUs running, as an upper bound'),
  stopped_ms: millisecondsSchema
    .optional()
    .describe(
      "the same as QEMU's events tell it, from STOP to RESUME: a lower bound, without what a busy host made the command for it wait",
    ),
  checkpoint: z.boolean().optional().describe("whether it is a point on its sandbox's timeline"),
  warning: z.string().optional().describe('why it failed or cannot be started'),
  rebuilt: z
    .string()
    .optional()
    .describe(
      'why it was made again from its image, when it came from a host whose snapshots cannot be loaded here',
    ),
  durable: z.boolean().optional().describe('whether it would survive power loss'),
  parent_tag: z.string().optional().describe('snapshot whose layers it builds on'),
  memory_physical_bytes: bytesSchema.optional().describe('bytes its own memory layer occupies'),
  captured_bytes: bytesSchema.optional().describe('bytes of guest memory the branch copied'),
  expires_at_unix: unixSecondsSchema.optional().describe('when the collector may remove it'),
  keep_last: z
    .int()
    .optional()
    .describe(
      'removed once so many newer durable snapshots of its source exist that were made with `keep_last`',
    ),
});
/** A captured instant of a guest. */
export type Snapshot = z.infer<typeof snapshotSchema>;

export const snapshotInfoSchema = snapshotSchema.extend({
  memory_logical_bytes: bytesSchema.describe("the guest's RAM size"),
  memory_physical_bytes: bytesSchema.describe('bytes its own memory layer occupies'),
  vmstate_bytes: bytesSchema.describe('size of the device state'),
  chain_depth: z.int().min(0).describe('number of ancestors'),
  ancestors: z.array(z.string()).describe('tags it builds on, root first'),
  dependents: z.array(z.string()).describe('tags that build on it directly'),
});
/** A snapshot with its sizes and lineage. */
export type SnapshotInfo = z.infer<typeof snapshotInfoSchema>;

/** What a snapshot that is made again has already. */
const OF_A_BOOT = [
  ...(['image', 'kernel', 'rootfs', 'initrd', 'kernel_cmdline', 'memory_mib', 'vcpus'] as const),
  ...(['boot_wait_secs', 'start', 'ready', 'ready_timeout_secs'] as const),
];

export const createSnapshotRequestSchema = z
  .object({
    tag: tagSchema,
    image: imageNameSchema.optional(),
    like: tagSchema
      .optional()
      .describe(
        'instead of an image, and of all that says how to boot it: the snapshot that is to be made again as it was made',
      ),
    kernel: absolutePathSchema.optional(),
    rootfs: absolutePathSchema.optional(),
    initrd: absolutePathSchema.optional(),
    kernel_cmdline: plainTextSchema.max(2048).optional().describe("appended to the kernel's command line"),
    memory_mib: z
      .int()
      .min(32)
      .max(1_048_576)
      .optional()
      .describe("RAM in MiB; the image's default otherwise"),
    vcpus: z.int().min(1).max(64).optional().describe("virtual CPUs; the image's default otherwise"),
    boot_wait_secs: z
      .number()
      .min(0)
      .max(60)
      .optional()
      .describe('seconds to let the guest run after its agent answered, before the capture'),
    ...serviceFields,
    ...expiryFields,
    ...networkFields,
  })
  .superRefine((request, context) => {
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: [field], message });
    refuseTwoExpiries(request, context);
    refuseReadyAlone(request, context);
    if (request.like !== undefined) {
      for (const field of OF_A_BOOT)
        if (request[field] !== undefined) refuse(field, 'cannot be combined with "like"');
    } else if (request.image !== undefined) {
      for (const field of ['kernel', 'rootfs', 'initrd'] as const) {
        if (request[field] !== undefined) refuse(field, 'cannot be combined with "image"');
      }
    } else if (request.kernel === undefined && request.rootfs === undefined) {
      refuse('image', 'is required, or "kernel" and "rootfs"');
    } else if (request.kernel === undefined) {
      refuse('kernel', 'is required beside "rootfs"');
    } else if (request.rootfs === undefined) {
      refuse('rootfs', 'is required beside "kernel"');
    }
  });
/** Boot an image, start what is to run in it, and capture it once that is ready. */
export type CreateSnapshotRequest = z.infer<typeof createSnapshotRequestSchema>;

/** Fold a snapshot and its ancestors into a new one without parents. */
export const compactRequestSchema = z.object({
  to: tagSchema.describe('name of the new, parentless snapshot'),
});

/** What to do when other snapshots build on the deleted one; at most one is true. */
export const deleteSnapshotQuerySchema = z
  .object({
    cascade: flagSchema.describe('delete the snapshots that build on it too'),
    force: flagSchema.describe('delete it even when others build on it'),
  })
  .superRefine((query, context) => {
    if (query.cascade && query.force) {
      context.addIssue({ code: 'custom', path: ['force'], message: 'cannot be combined with "cascade"' });
    }
  });

/** How a snapshot of another host is taken in. */
export const importSnapshotQuerySchema = z.object({
  tag: tagSchema.optional().describe('what to call it; as where it was made when absent'),
  allow_unsigned: flagSchema.describe('take also one that nobody who is trusted here has signed'),
});

export const trustedKeysSchema = z.object({
  keys: z.array(z.string()).describe('public keys, in PEM'),
});

/** Routes of snapshots. */
export const snapshotRoutes = {
  listSnapshots: {
    ...endpoints.listSnapshots,
    kind: 'json',
    scope: 'read',
    summary: 'Every snapshot, each tag once; one that is being written is listed as `writing`.',
    resource: 'snapshots',
    query: z.object(pageFields),
    replyHeaders: pageHeaders,
    replies: { 200: z.array(snapshotSchema) },
    errors: ['invalid_request'],
  },
  createSnapshot: {
    ...endpoints.createSnapshot,
    kind: 'json',
    scope: 'admin',
    keyed: true,
    summary: 'Boot an image, or a kernel and a root filesystem, and capture it when its agent answers.',
    resource: 'snapshots',
    body: createSnapshotRequestSchema,
    replies: { 201: snapshotSchema },
    errors: [
      'invalid_request',
      'tag_exists',
      'image_not_found',
      'image_unusable',
      'no_space',
      'no_memory',
      'boot_failed',
      'service_ended',
      'service_not_ready',
      'secret_not_found',
      'egress_unavailable',
      'vmm_failed',
    ],
    statusFor: { tag_exists: 400 },
  },
  getSnapshot: {
    ...endpoints.getSnapshot,
    kind: 'json',
    scope: 'read',
    summary: 'One snapshot.',
    resource: 'snapshots',
    params: byTag,
    replies: { 200: snapshotSchema },
    errors: ['invalid_request', 'snapshot_not_found'],
  },
  snapshotInfo: {
    ...endpoints.snapshotInfo,
    kind: 'json',
    scope: 'read',
    summary: 'One snapshot with its sizes and lineage.',
    resource: 'snapshots',
    params: byTag,
    replies: { 200: snapshotInfoSchema },
    errors: ['invalid_request', 'snapshot_not_found'],
  },
  deleteSnapshot: {
    ...endpoints.deleteSnapshot,
    kind: 'json',
    scope: 'admin',
    summary: 'Delete a snapshot. Running sandboxes are never harmed by it.',
    resource: 'snapshots',
    params: byTag,
    query: deleteSnapshotQuerySchema,
    replies: { 204: null },
    errors: ['invalid_request', 'snapshot_not_found', 'snapshot_in_use'],
  },
  compactSnapshot: {
    ...endpoints.compactSnapshot,
    kind: 'json',
    scope: 'admin',
    keyed: true,
    summary: 'Fold a snapshot and its ancestors into a new one without parents.',
    resource: 'snapshots',
    params: byTag,
    body: compactRequestSchema,
    replies: { 200: snapshotSchema },
    errors: [
      'invalid_request',
      'snapshot_not_found',
      'tag_exists',
      'snapshot_not_usable',
      'integrity_error',
      'no_space',
    ],
  },
  exportSnapshot: {
    ...endpoints.exportSnapshot,
    kind: 'stream',
    scope: 'admin',
    summary:
      'A snapshot as one file, for another host: an OCI layout in a tar, of any length, signed if this host has a key. Waits until it is durable. `Content-Length` is sent. It holds everything that the memory of the guest held.',
    resource: 'snapshots',
    params: byTag,
    replies: { 200: 'application/x-tar' },
    errors: [
      'invalid_request',
      'snapshot_not_found',
      'snapshot_not_usable',
      'integrity_error',
      'not_durable',
      'no_space',
      'bad_snapshot_archive',
      'host_not_ready',
    ],
  },
  importSnapshot: {
    ...endpoints.importSnapshot,
    kind: 'stream',
    scope: 'admin',
    summary:
      "Take in a file that `exportSnapshot` gave, here or on another host. It is checked as it comes, started once, and captured anew with an agent's secret of its own: what it stood on stays below. Its network policy does not come along. The header `bough-tag` of the answer says what it is called, `bough-digest` what was taken in, `bough-signed-by` whose key signed it.",
    resource: 'snapshots',
    query: importSnapshotQuerySchema,
    replies: { 204: null },
    errors: [
      'invalid_request',
      'tag_exists',
      'bad_snapshot_archive',
      'snapshot_untrusted',
      'snapshot_incompatible',
      'no_space',
      'no_memory',
      'boot_failed',
      'vmm_failed',
      'agent_unreachable',
      'agent_protocol',
      'agent_refused',
      'agent_deadline',
      'host_not_ready',
      'request_timeout',
    ],
  },
  trustedKeys: {
    ...endpoints.trustedKeys,
    kind: 'json',
    scope: 'read',
    summary: 'Whose snapshots are taken in without being told to: so that others need not be fetched first.',
    resource: 'snapshots',
    replies: { 200: trustedKeysSchema },
    errors: ['host_not_ready'],
  },
} as const satisfies RouteTable;
