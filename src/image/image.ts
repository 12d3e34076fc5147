/** A built image, and what all images have in common. */
import { z } from 'zod';
import { imageDefinitionSchema, type ImageDefinition } from './definition.js';
import { guestDefaultsSchema } from './oci/config.js';

/** TCP port of the agent inside the guest. */
export const AGENT_PORT = 10_000;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Where an image that was imported came from, and what it says of the programs in it. */
const originSchema = z.object({
  reference: z.string(),
  /** Of the manifest: the same digest is the same layers. */
  digest: z.string(),
  defaults: guestDefaultsSchema,
});

export type Origin = z.infer<typeof originSchema>;

/** What of a definition is no part of the image: how it is booted. */
const bootSettingsSchema = imageDefinitionSchema.pick({
  interpreter: true,
  memoryMiB: true,
  vcpus: true,
  randomAddresses: true,
  service: true,
});

export type BootSettings = z.infer<typeof bootSettingsSchema>;

export const bootSettings = (definition: ImageDefinition): BootSettings =>
  bootSettingsSchema.strip().parse(definition);

/** What image.json holds: what was built, and of what. Format 1 had no recipe, and a digest of the definition only. */
export const imageRecordSchema = z.object({
  format: z.literal(2),
  name: z.string(),
  /** See ingredients.ts. */
  recipe: sha256,
  /** See catalog.ts. */
  digest: sha256,
  rootfsBytes: z.int().positive(),
  agentPort: z.int().positive(),
  kernelRelease: z.string(),
  debianCodename: z.string(),
  builtAtUnix: z.int(),
  /** Of one that was imported: it has no definition. */
  origin: originSchema.optional(),
  memoryMiB: z.int().optional(),
  /** Of one whose definition is not of the checkout: nobody knows whether that is still there. */
  settings: bootSettingsSchema.optional(),
});

export type ImageRecord = z.infer<typeof imageRecordSchema>;

/** What is started in its guests where somebody asks for that, and how to know that it is ready. */
export interface ImageService {
  /** Empty for none. */
  readonly command: readonly string[];
  readonly ports: readonly number[];
  readonly healthcheck?: readonly string[] | undefined;
}

/**
 * A kernel, an initramfs and a root file system to boot. Paths are absolute; `digest` is hex over their bytes, without our own programs
 * in the initramfs.
 */
export interface Image {
  readonly name: string;
  readonly digest: string;
  readonly dir: string;
  readonly kernelPath: string;
  /** Absent for a kernel of the caller's own that needs none. */
  readonly initrdPath?: string;
  readonly rootfsPath: string;
  /** Logical size of the root file system. */
  readonly rootfsBytes: number;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly agentPort: number;
  /** See kernel-cmdline.ts. */
  readonly randomAddresses: boolean;
  readonly service?: ImageService;
  /** Of one that was imported. */
  readonly origin?: Origin;
}
