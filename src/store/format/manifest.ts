/**
 * `manifest.json`, version 2: everything there is to know about a snapshot besides its bytes.
 *
 * Invariant: a manifest that parses is internally consistent (unique ids, ordered runs inside the RAM, own
 * layer on top), and `manifest.sha256` beside it covers every byte of it. What the format means is in
 * docs/internals/snapshot-format.md.
 */
import { z } from 'zod';
import { networkPolicySchema } from '../../contract/index.js';
import { recipeSchema } from './recipe.js';

/**
 * The version this program writes, and the highest it reads. Version 1 knows only plain digests of disk
 * files.
 */
export const MANIFEST_VERSION = 2;

/** No snapshot has more memory layers or disk files than this; fold them (`compact`) before. */
export const MAX_CHAIN_DEPTH = 64;

/** What tags look like, everywhere. */
export const TAG_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

/** What ids of snapshots, layers and disks look like; they are file names. */
export const OBJECT_ID_PATTERN = /^[a-z0-9][a-z0-9._-]{0,127}$/;

const tag = z.string().regex(TAG_PATTERN);
const objectId = z.string().regex(OBJECT_ID_PATTERN);
const bytes = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const snapshotModeSchema = z.enum(['full', 'diff', 'live']);
/** How the memory was captured. */
export type SnapshotMode = z.infer<typeof snapshotModeSchema>;

export const machineIdentitySchema = z.strictObject({
  qemuVersion: z.string().min(1),
  /** Versioned, such as `pc-i440fx-7.2`. */
  machineType: z.string().min(1),
  accel: z.enum(['kvm', 'tcg']),
  cpuModel: z.string().min(1),
  /** The host's, under KVM, where the guest is given it as it is. */
  processor: z.string().min(1).optional(),
  vcpus: z.number().int().positive(),
  memoryMiB: z.number().int().positive(),
  /** Version of the list of devices a VM is built with. */
  deviceLayout: z.number().int().positive(),
});
/** What a VMM must match exactly to load the device state. */
export type MachineIdentity = z.infer<typeof machineIdentitySchema>;

export const imageIdentitySchema = z.strictObject({ name: z.string().min(1), digest: z.string().min(1) });
/** The image the first ancestor was booted from. */
export type ImageIdentity = z.infer<typeof imageIdentitySchema>;

export const agentAccessSchema = z.strictObject({
  secret: z.string().min(1),
  guestPort: z.number().int().min(1).max(65535),
});
/**
 * How to reach the agent which sleeps in the memory: a child must know the source's secret to get its own.
 */
export type AgentAccess = z.infer<typeof agentAccessSchema>;

const networkSchema = z.strictObject({
  policy: networkPolicySchema,
  /** Which name each address stands for that the guest was given for one. */
  names: z
    .array(z.tuple([z.string().max(253), z.ipv4()]).readonly())
    .max(4096)
    .readonly(),
});

/** What a timeline that is thinned out keeps: of the last `withinSecs` one in `everySecs`, or all. */
const keepSchema = z.strictObject({
  withinSecs: z.number().positive(),
  everySecs: z.number().positive().optional(),
});
export type Keep = z.infer<typeof keepSchema>;

/** How a timeline is thinned out. */
export const thinningSchema = z.strictObject({
  keep: z.array(keepSchema).min(1).max(16),
  /** What all checkpoints of a sandbox may take in both tiers; beyond it the oldest go. */
  maxBytes: bytes.positive(),
});
export type Thinning = z.infer<typeof thinningSchema>;

const checkpointSchema = z.strictObject({
  /** When it was taken, by the clock of the wall and by that of the boot, which tells ages without obeying steps. */
  atUnixMs: z.number().int().nonnegative(),
  atBootMs: z.number().int().nonnegative(),
  bootId: z.string(),
  /** Without it nobody but its user removes it. The newest checkpoint of a sandbox has the rules for all. */
  thinning: thinningSchema.optional(),
});
/** A point on the timeline of the sandbox it was branched from. */
export type Checkpoint = z.infer<typeof checkpointSchema>;

export const retentionSchema = z.strictObject({
  /** When it may be removed. */
  expiresAtUnix: z.number().int().nonnegative().optional(),
  /**
   * It may be removed once so many newer ones of its source exist which have this field too, all of them
   * durable.
   */
  keepLast: z.number().int().positive().optional(),
  /** Which branch of its source it is, counted from 1: says what is newer without asking a clock. */
  ordinal: z.number().int().positive().optional(),
  checkpoint: checkpointSchema.optional(),
});
/** How long a snapshot that nobody removes is to stay; without any of it: for ever. */
export type Retention = z.infer<typeof retentionSchema>;

export const requestKeySchema = z.strictObject({ keySha256: sha256, requestSha256: sha256 });
/** The request that made something: digests of its idempotency key, and of what it asked for. */
export type RequestKey = z.infer<typeof requestKeySchema>;

const runSchema = z.tuple([bytes, bytes.positive()]).readonly();

const layerSchema = z
  .strictObject({
    id: objectId,
    /** `memory.bin` for the snapshot's own, `layers/<id>.bin` for an ancestor's. */
    file: z.string(),
    logicalBytes: bytes.positive(),
    runs: z.array(runSchema).readonly(),
    /** Sum of the runs' lengths. */
    physicalBytes: bytes,
    /** Present in every durable manifest. */
    sha256: sha256.optional(),
  })
  .superRefine((layer, context) => {
    let end = 0;
    let sum = 0;
    for (const [offsetBytes, lengthBytes] of layer.runs) {
      if (offsetBytes < end)
        context.addIssue({ code: 'custom', message: `run at ${offsetBytes} is out of order` });
      end = offsetBytes + lengthBytes;
      sum += lengthBytes;
    }
    if (end > layer.logicalBytes) context.addIssue({ code: 'custom', message: 'a run ends behind the RAM' });
    if (sum !== layer.physicalBytes)
      context.addIssue({ code: 'custom', message: 'physicalBytes is not the sum of the runs' });
  });
/** One memory layer as a manifest lists it. */
export type ManifestLayer = z.infer<typeof layerSchema>;

const diskSchema = z.strictObject({
  id: objectId,
  /** `disk/<id>.<format>`. */
  file: z.string(),
  format: z.enum(['raw', 'qcow2']),
  bytes,
  /** See disk-digest.ts. */
  sha256: z
    .string()
    .regex(/^(sparse:)?[0-9a-f]{64}$/)
    .optional(),
});
/** One file of the disk chain as a manifest lists it. */
export type ManifestDisk = z.infer<typeof diskSchema>;

/** File name of an ancestor's layer inside a snapshot folder. */
export const layerFile = (id: string): string => `layers/${id}.bin`;
/** File name of a disk inside a snapshot folder. */
export const diskFile = (id: string, format: string): string => `disk/${id}.${format}`;
/** The snapshot's own layer. */
export const MEMORY_FILE = 'memory.bin';
/** The device state. */
export const VMSTATE_FILE = 'vmstate.bin';

export const manifestSchema = z
  .strictObject({
    version: z.literal([1, MANIFEST_VERSION]),
    id: objectId,
    tag,
    createdAtUnix: z.number().int().nonnegative(),
    mode: snapshotModeSchema,
    branchedFrom: z.string().min(1).optional(),
    /**
     * Every ancestor there was, root first, the parent last; an id says that a tag was not taken over by
     * another snapshot.
     */
    ancestors: z.array(z.strictObject({ tag, id: objectId })).max(4096),
    pauseMs: z.number().nonnegative().optional(),
    stoppedMs: z.number().nonnegative().optional(),
    capturedBytes: bytes.optional(),
    retention: retentionSchema.optional(),
    requestKey: requestKeySchema.optional(),
    bootable: z.boolean(),
    warning: z.string().optional(),
    machine: machineIdentitySchema,
    image: imageIdentitySchema,
    agent: agentAccessSchema,
    network: networkSchema.optional(),
    /** How it was made of its image; of a branch nobody knows. */
    recipe: recipeSchema.optional(),
    /** Of one that was made again instead of loaded: why. */
    rebuilt: z.string().min(1).max(1024).optional(),
    /** Bottom first; the last is the snapshot's own. */
    layers: z.array(layerSchema).min(1).max(MAX_CHAIN_DEPTH),
    /** Bottom first; the last is the top of the chain. Empty for a VM without a disk. */
    disks: z.array(diskSchema).max(MAX_CHAIN_DEPTH),
    vmstate: z.strictObject({ file: z.literal(VMSTATE_FILE), bytes, sha256: sha256.optional() }),
  })
  .superRefine((manifest, context) => {
    const fail = (message: string): void => context.addIssue({ code: 'custom', message });
    const unique = (what: string, ids: string[]): void => {
      if (new Set(ids).size !== ids.length) fail(`duplicate ${what} id`);
    };
    unique(
      'layer',
      manifest.layers.map((layer) => layer.id),
    );
    unique(
      'disk',
      manifest.disks.map((disk) => disk.id),
    );
    unique('ancestor', [manifest.id, ...manifest.ancestors.map((ancestor) => ancestor.id)]);
    const own = manifest.layers.at(-1);
    for (const layer of manifest.layers) {
      const expected = layer === own ? MEMORY_FILE : layerFile(layer.id);
      if (layer.file !== expected) fail(`layer ${layer.id} is in ${layer.file}, not ${expected}`);
      if (layer.logicalBytes !== own?.logicalBytes) fail(`layer ${layer.id} is of another RAM size`);
    }
    for (const disk of manifest.disks) {
      const expected = diskFile(disk.id, disk.format);
      if (disk.file !== expected) fail(`disk ${disk.id} is in ${disk.file}, not ${expected}`);
    }
  });
/** A whole manifest. */
export type Manifest = z.infer<typeof manifestSchema>;
