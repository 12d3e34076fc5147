/**
 * The outer machine: a Debian 13 under QEMU's software emulation, which emulates a processor with virtual machines, so that the real
 * kvm_amd in it runs Linux guests.
 *
 * Two disks. The first is the tree of Debian 13, made once. The second, made for each run, has the checkout as it is built, the image
 * its guests are made of, and what is to be run; a few words on the first start it. Both are written to copies that vanish with QEMU.
 *
 * QEMU 10 and not an older one, whatever the host has: 7.2 runs stale code after a kernel on two processors has patched itself. Many
 * threads: with one, a guest's kernel hangs with interrupts off. One processor, because with two its memory is
 * damaged, also under QEMU alone. Four levels of pages, because that is what its guests' kernels get.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { qemuOf } from './debian13.js';

/** Seen from dist/test/kvm/. */
const PROJECT_DIR = fileURLToPath(new URL('../../../', import.meta.url));
const FIRST_STEPS = '#!/bin/sh\nmount /dev/vdb /payload\nexec bash /payload/init.sh\n';
const MACHINE = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-M', 'pc,usb=off'];
/** Where QEMU looks for its firmware, below the tree. */
const FIRMWARE = ['usr/share/qemu', 'usr/share/seabios'];
const PROCESSOR = ['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max,la57=off', '-smp', '1'];
const MEMORY_MIB = 6_144;
const CMDLINE =
  'console=ttyS0 root=/dev/vda rw init=/first-steps mitigations=off no_timer_check nowatchdog quiet panic=-1';
/** Of the checkout, what runs: no sources, and of the packages none that only check them. */
const PROJECT_PARTS = ['package.json', 'dist', 'guest', 'native', 'scripts', 'node_modules'];
const LEFT_OUT = ['typescript', 'typescript-eslint', '@typescript-eslint', 'eslint', '@eslint', 'prettier'];

/** What the machine is to run, by bash, in the checkout. */
export interface Payload {
  readonly tree: string;
  readonly cacheDir: string;
  readonly imageDir: string;
  readonly script: string;
  /** A folder for this run's files; it is the caller's to remove. */
  readonly dir: string;
}

/** The disks, and QEMU's program and arguments for them; its console is on stdout. */
export async function outerMachine(payload: Payload): Promise<{ program: string; args: string[] }> {
  const { tree } = payload;
  const boot = await readdir(join(tree, 'boot'));
  const fileOf = (prefix: string): string =>
    join(tree, 'boot', boot.find((name) => name.startsWith(prefix)) ?? '');
  const disks = [await rootDisk(tree), await payloadDisk(payload)];
  const args = [
    ...[...MACHINE, ...PROCESSOR, '-m', String(MEMORY_MIB), '-serial', 'stdio'],
    ...FIRMWARE.flatMap((folder) => ['-L', join(tree, folder)]),
    ...['-kernel', fileOf('vmlinuz-'), '-initrd', fileOf('initrd.img-'), '-append', CMDLINE],
    ...disks.flatMap((path) => ['-drive', `file=${path},format=raw,if=virtio,snapshot=on,cache=unsafe`]),
  ];
  return { program: qemuOf(tree), args };
}

async function rootDisk(tree: string): Promise<string> {
  const path = `${tree}-${createHash('sha256').update(FIRST_STEPS).digest('hex').slice(0, 8)}.ext4`;
  if (existsSync(path)) return path;
  await mkdir(join(tree, 'payload'), { recursive: true });
  await writeFile(join(tree, 'first-steps'), FIRST_STEPS, { mode: 0o755 });
  await makeDisk(tree, `${path}.unfinished`, '4G');
  await rename(`${path}.unfinished`, path);
  return path;
}

async function payloadDisk({ imageDir, script, dir }: Payload): Promise<string> {
  const stage = join(dir, 'payload');
  const project = join(stage, 'bough');
  const images = join(stage, 'cache', 'images');
  for (const folder of [project, images]) await mkdir(folder, { recursive: true });
  await execa('cp', ['-a', ...PROJECT_PARTS.map((part) => join(PROJECT_DIR, part)), project]);
  for (const name of LEFT_OUT)
    await rm(join(project, 'node_modules', name), { recursive: true, force: true });
  await execa('cp', ['-a', '--sparse=always', imageDir, images]);
  await copyFile(join(PROJECT_DIR, 'test/kvm/init.sh'), join(stage, 'init.sh'));
  await writeFile(join(stage, 'run'), script);
  const path = join(dir, 'payload.ext4');
  await makeDisk(stage, path, '8G');
  await rm(stage, { recursive: true });
  return path;
}

async function makeDisk(tree: string, path: string, size: string): Promise<void> {
  const options = ['-q', '-t', 'ext4', '-O', '^has_journal', '-E', 'lazy_itable_init=1,root_owner=0:0'];
  await rm(path, { force: true });
  await execa('mke2fs', [...options, '-d', tree, path, size]);
}
