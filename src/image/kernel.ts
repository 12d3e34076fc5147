/**
 * Kernel and modules of a guest, from Debian's kernel package: unpacked, never installed, so the host's own
 * boot is not touched.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fsyncPath, temporaryPath } from '../base/index.js';
import { CPIO_DIRECTORY, CPIO_FILE, cpioArchive, type CpioEntry } from './cpio.js';
import { ImageBuildFailed } from './errors.js';
import { runTool } from './host-tools.js';
import { modulesInOrder, type KernelModule } from './kernel-modules.js';

/**
 * What stands between a guest and its disk and network, the rest of virtio is theirs to pull in; and what the agent of a copy ends
 * inherited connections with.
 */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'ext4', 'virtio_net', 'tcp_diag'];

/** Counted up when something else is made of the same package and modules. */
const FORM = 1;

export interface KernelInput {
  readonly debPath: string;
  /** What was made of packages before. */
  readonly keptDir: string;
  /** Scratch folder. */
  readonly workDir: string;
  /** Where vmlinuz and modules.cpio go. */
  readonly imageDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** Beside the packages that it is made of. */
export const keptKernelsDir = (debsDir: string): string => join(debsDir, 'kernels');

/**
 * Puts vmlinuz and modules.cpio into `imageDir`; returns the kernel's release, such as 6.1.0-56-cloud-amd64. To unpack a package takes
 * longer than all the rest of a small import, so what was made of one is kept and copied.
 */
export async function makeKernel(input: KernelInput): Promise<string> {
  const { debPath, keptDir, imageDir } = input;
  const kept = join(keptDir, await recipeOf(debPath));
  if (!(await isFolder(kept))) await keepKernel(input, kept);
  await mkdir(imageDir, { recursive: true });
  for (const name of ['vmlinuz', 'modules.cpio'])
    await copyFile(join(kept, name), join(imageDir, name), constants.COPYFILE_FICLONE);
  return readFile(join(kept, 'release'), 'utf8');
}

/** A name for what is made of this package here. */
async function recipeOf(debPath: string): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([FORM, BOOT_MODULES]));
  for await (const piece of createReadStream(debPath)) hash.update(piece as Buffer);
  return hash.digest('hex').slice(0, 32);
}

/** It is there whole or not at all; another import may be as far at the same time. */
async function keepKernel({ debPath, keptDir, workDir, signal }: KernelInput, kept: string): Promise<void> {
  const unpacked = join(workDir, 'kernel');
  await runTool('dpkg-deb', ['--extract', debPath, unpacked], { what: 'unpack the kernel package', signal });
  const vmlinuz = (await readdir(join(unpacked, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (vmlinuz === undefined) throw new ImageBuildFailed(`Cannot build an image: no kernel in ${debPath}`);
  const release = vmlinuz.slice('vmlinuz-'.length);
  const modules = await modulesInOrder(await modulesDir(unpacked, release), BOOT_MODULES);
  await mkdir(keptDir, { recursive: true });
  const making = temporaryPath(kept);
  try {
    await mkdir(making);
    await copyFile(join(unpacked, 'boot', vmlinuz), join(making, 'vmlinuz'));
    await writeFile(join(making, 'modules.cpio'), modulesArchive(modules));
    await writeFile(join(making, 'release'), release);
    for (const name of await readdir(making)) await fsyncPath(join(making, name));
    await rename(making, kept);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (!(await isFolder(kept))) throw error;
  }
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
