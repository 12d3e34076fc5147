/** A built image, and what all images have in common. */
import { z } from 'zod';

/** TCP port of the agent inside the guest. */
export const AGENT_PORT = 10_000;

/**
 * Kernel command line of every guest, under both accelerators. Besides console and root it is about two things.
 * A software-emulated guest must boot at all, and fast: no_timer_check, tsc=unstable, mitigations=off.
 * An idle guest must write to no memory, because a branch copies what it wrote: nowatchdog, and no zeroing of freed pages.
 */
export const KERNEL_CMDLINE = [
  'console=ttyS0 panic=-1 quiet',
  'root=/dev/vda rw',
  'no_timer_check tsc=unstable mitigations=off',
  'nowatchdog init_on_alloc=0 transparent_hugepage=madvise',
  'random.trust_cpu=on audit=0 8250.nr_uarts=1',
].join(' ');

/** What image.json holds: the image without its place. */
export const imageRecordSchema = z.object({
  format: z.literal(1),
  name: z.string(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  description: z.string(),
  rootfsBytes: z.int().positive(),
  memoryMiB: z.int().positive(),
  vcpus: z.int().positive(),
  agentPort: z.int().positive(),
  kernelCmdline: z.string(),
  kernelRelease: z.string(),
  debianCodename: z.string(),
  builtAtUnix: z.int(),
});

export type ImageRecord = z.infer<typeof imageRecordSchema>;

/** A kernel, an initramfs and a root file system to boot. Paths are absolute; `digest` is hex over everything it was made from. */
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
  readonly kernelCmdline: string;
}
