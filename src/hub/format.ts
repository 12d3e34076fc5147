/**
 * A snapshot as an OCI artifact: media types, and the documents that describe it.
 *
 *     index.json ─▶ manifest ─▶ config       machine, agent, where the bytes of each file are
 *          │           └─────▶ layers[]     chunks: device state, memory layers and disk files bottom first, kernel and modules
 *          └──▶ signature, a manifest of its own with the other one as its `subject`
 *
 * Which chunk belongs where is in no document: it follows from the runs in the config (pieces.ts). Everything is named by its sha256, so
 * the digest of the manifest, which is what is signed, stands for all of it.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { tagSchema } from '../contract/index.js';
import { agentAccessSchema, machineIdentitySchema, recipeSchema, type Run } from '../store/index.js';
import { BadSnapshotArchive } from './errors.js';
import { CHUNK_BYTES } from './pieces.js';

export const ARTIFACT_TYPE = 'application/vnd.bough.snapshot.v1';
export const CONFIG_TYPE = 'application/vnd.bough.snapshot.config.v1+json';
export const CHUNK_TYPE = 'application/vnd.bough.snapshot.chunk.v1+zstd';
export const SIGNATURE_TYPE = 'application/vnd.bough.snapshot.signature.v1';
const SIGNATURE_BLOB_TYPE = 'application/vnd.bough.snapshot.signature.v1.ed25519';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

export const REF_NAME = 'org.opencontainers.image.ref.name';
export const KEY_ANNOTATION = 'dev.bough.key';

/** Registries take no larger manifest. */
export const MAX_MANIFEST_BYTES = 4 << 20;
export const MAX_CONFIG_BYTES = 32 << 20;
/** A child and its branches need some room above what came. */
const MAX_OBJECTS = 60;

const bytesField = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const words = z.string().min(1).max(256);

const runs = z.array(z.tuple([bytesField, z.int().positive()]).readonly()).readonly();

/** Ascending, disjoint, inside the file. */
function checkRuns(found: readonly Run[], fileBytes: number, context: z.RefinementCtx): void {
  let end = 0;
  for (const [offset, length] of found) {
    if (offset < end) context.addIssue({ code: 'custom', message: `the run at ${offset} is out of order` });
    end = offset + length;
  }
  if (end > fileBytes) context.addIssue({ code: 'custom', message: 'a run ends behind its file' });
}

const memorySchema = z
  .strictObject({ logicalBytes: z.int().positive(), runs, sha256 })
  .superRefine((layer, context) => checkRuns(layer.runs, layer.logicalBytes, context));
const diskSchema = z
  .strictObject({ format: z.enum(['raw', 'qcow2']), bytes: z.int().positive(), runs })
  .superRefine((disk, context) => checkRuns(disk.runs, disk.bytes, context));

/**
 * With the first disk, the image that it was booted from: kernel and modules follow the disks. What is said of the image is for whoever
 * boots it to check.
 */
const bootSchema = z.strictObject({
  kernelBytes: z.int().positive(),
  modulesBytes: z.int().positive(),
  record: z.record(z.string(), z.unknown()),
});

export const configSchema = z
  .strictObject({
    version: z.literal(1),
    /** What every chunk but the last of a file holds. */
    chunkBytes: z.literal(CHUNK_BYTES),
    tag: tagSchema,
    createdAtUnix: z.int().nonnegative(),
    machine: machineIdentitySchema.extend({
      qemuVersion: words,
      machineType: words,
      cpuModel: words,
      processor: words.optional(),
      vcpus: z.int().min(1).max(64),
      memoryMiB: z.int().min(1).max(1_048_576),
    }),
    image: z.strictObject({
      // It is looked for among the images of a host.
      name: z
        .string()
        .regex(/^[^/\0]{1,255}$/)
        .refine((name) => name !== '.' && name !== '..'),
      digest: words,
    }),
    agent: agentAccessSchema.extend({ secret: words }),
    recipe: recipeSchema.optional(),
    boot: bootSchema.optional(),
    vmstate: z.strictObject({ bytes: z.int().positive(), sha256 }),
    memory: z.array(memorySchema).min(1).max(MAX_OBJECTS),
    disks: z.array(diskSchema).min(1).max(MAX_OBJECTS),
  })
  .superRefine(({ memory, disks }, context) => {
    const fail = (message: string): void => context.addIssue({ code: 'custom', message });
    if (memory.some(({ logicalBytes }) => logicalBytes !== memory[0]?.logicalBytes))
      fail('memory layers are of different RAM');
    if (disks.slice(1).some(({ format }) => format === 'raw')) fail('a raw disk stands on another');
  });
/** What a snapshot is besides its bytes. */
export type SnapshotConfig = z.infer<typeof configSchema>;

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: bytesField,
  annotations: z.record(z.string(), z.string()).optional(),
});
/** Names a blob. */
export type Descriptor = z.infer<typeof descriptorSchema>;

export const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  artifactType: z.literal(ARTIFACT_TYPE),
  config: descriptorSchema.extend({ mediaType: z.literal(CONFIG_TYPE) }),
  layers: z.array(descriptorSchema.extend({ mediaType: z.literal(CHUNK_TYPE) })),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type ArtifactManifest = z.infer<typeof manifestSchema>;

export const signatureManifestSchema = z.object({
  schemaVersion: z.literal(2),
  artifactType: z.literal(SIGNATURE_TYPE),
  config: descriptorSchema,
  layers: z.tuple([descriptorSchema.extend({ annotations: z.object({ [KEY_ANNOTATION]: sha256 }) })]),
  subject: descriptorSchema,
});

const manifestDescriptor = descriptorSchema.extend({ mediaType: z.literal(MANIFEST_TYPE) });

export const indexSchema = z.object({
  schemaVersion: z.literal(2),
  manifests: z
    .tuple([manifestDescriptor], manifestDescriptor)
    .refine((all) => all.length <= 2, 'too many manifests'),
});

export const LAYOUT_TEXT = JSON.stringify({ imageLayoutVersion: '1.0.0' });

/** A document of ours and how it is named. */
export interface Document {
  readonly bytes: Buffer;
  readonly descriptor: Descriptor;
}

export function documentOf(mediaType: string, value: unknown): Document {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, descriptor: descriptorOf(mediaType, bytes) };
}

export const descriptorOf = (mediaType: string, bytes: Buffer): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});

export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Where a blob lies in a layout. */
export const blobName = (digest: string): string => `blobs/sha256/${digest.slice('sha256:'.length)}`;

/** The tag under which a registry keeps the signature of a manifest. */
export const signatureTag = (digest: string): string => `${digest.replace(':', '-')}.sig`;

/** What is signed: nothing else that a key signs can be taken for it. */
export const signedText = (digest: string): string => `bough snapshot v1\n${digest}\n`;

export function manifestOf(
  config: SnapshotConfig,
  configBlob: Descriptor,
  layers: readonly Descriptor[],
): Document {
  const { machine } = config;
  return documentOf(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType: ARTIFACT_TYPE,
    config: configBlob,
    layers,
    annotations: {
      'org.opencontainers.image.created': new Date(config.createdAtUnix * 1000).toISOString(),
      'dev.bough.qemu': machine.qemuVersion,
      'dev.bough.machine': machine.machineType,
      'dev.bough.accelerator': machine.accel,
      'dev.bough.cpu': machine.cpuModel,
      'dev.bough.memory-mib': String(machine.memoryMiB),
      'dev.bough.image': config.image.name,
    },
  });
}

/** The manifest of a signature, and the two blobs it names. */
export function signatureOf(subject: Descriptor, bytes: Buffer, fingerprint: string): readonly Document[] {
  const empty = documentOf(EMPTY_TYPE, {});
  const blob = { bytes, descriptor: descriptorOf(SIGNATURE_BLOB_TYPE, bytes) };
  const manifest = documentOf(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType: SIGNATURE_TYPE,
    config: empty.descriptor,
    layers: [{ ...blob.descriptor, annotations: { [KEY_ANNOTATION]: fingerprint } }],
    subject,
  });
  return [manifest, empty, blob];
}

export function indexOf(tag: string, manifest: Descriptor, signature: Descriptor | undefined): Buffer {
  const named = (descriptor: Descriptor, name: string): Descriptor => ({
    ...descriptor,
    annotations: { [REF_NAME]: name },
  });
  const manifests = [
    named(manifest, tag),
    ...(signature ? [named(signature, signatureTag(manifest.digest))] : []),
  ];
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests }));
}

/** A document that came, if it is one. Throws BadSnapshotArchive. */
export function parsed<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new BadSnapshotArchive(`${what} is not JSON`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new BadSnapshotArchive(
    `${what} is malformed: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim(),
  );
}
