/**
 * Kernel and modules of a guest, from Debian's kernel package: unpacked, never installed, so the host's own
 * boot is not touched.
 */
import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CPIO_DIRECTORY, CPIO_FILE, cpioArchive, type CpioEntry } from './cpio.js';
import { ImageBuildFailed } from './errors.js';
import { runTool } from './host-tools.js';
import { modulesInOrder, type KernelModule } from './kernel-modules.js';

/** Small, made for virtual machines, with every virtio driver as a module. */
export const KERNEL_PACKAGE = 'linux-image-cloud-amd64';

/**
 * What stands between a guest and its disk and network, the rest of virtio is theirs to pull in; and what the agent of a copy ends
 * inherited connections with.
 */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'ext4', 'virtio_net', 'tcp_diag'];

export interface KernelInput {
  readonly debPath: string;
  /** Scratch folder. */
  readonly workDir: string;
  /** Where vmlinuz and modules.cpio go. */
  readonly imageDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** Makes vmlinuz and modules.cpio; returns the kernel's release, such as 6.1.0-56-cloud-amd64. */
export async function makeKernel({ debPath, workDir, imageDir, signal }: KernelInput): Promise<string> {
  const unpacked = join(workDir, 'kernel');
  await runTool('dpkg-deb', ['--extract', debPath, unpacked], { what: 'unpack the kernel package', signal });
  const vmlinuz = (await readdir(join(unpacked, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (vmlinuz === undefined) throw new ImageBuildFailed(`Cannot build an image: no kernel in ${debPath}`);
  const release = vmlinuz.slice('vmlinuz-'.length);
  await mkdir(imageDir, { recursive: true });
  await copyFile(join(unpacked, 'boot', vmlinuz), join(imageDir, 'vmlinuz'));
  const modules = await modulesInOrder(await modulesDir(unpacked, release), BOOT_MODULES);
  await writeFile(join(imageDir, 'modules.cpio'), modulesArchive(modules));
  return release;
}

/** /lib moved to /usr/lib during Debian's merge of the two. */
async function modulesDir(unpacked: string, release: string): Promise<string> {
  for (const parent of ['usr/lib', 'lib']) {
    const path = join(unpacked, parent, 'modules', release);
    if (await isFolder(path)) return path;
  }
  throw new ImageBuildFailed(`Cannot build an image: the kernel package has no modules for ${release}`);
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

/** The modules numbered in order, as guest/init/initramfs.c loads them. */
function modulesArchive(modules: readonly KernelModule[]): Buffer {
  const entries: CpioEntry[] = [{ path: 'modules', mode: CPIO_DIRECTORY | 0o755 }];
  modules.forEach(({ content }, index) => {
    const path = `modules/${String(index).padStart(2, '0')}.ko`;
    entries.push({ path, mode: CPIO_FILE | 0o644, content });
  });
  return cpioArchive(entries);
}
