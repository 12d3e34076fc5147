/** File systems of a known, small size, for what happens when one is full. Needs root. */
import { mkdir, rm, statfs } from 'node:fs/promises';
import { execa } from 'execa';
import { MiB } from '../../src/base/index.js';

/** Why no tmpfs can be mounted here, or false: what node:test takes as `skip`. */
export const noTmpfs: string | false = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root';

/** Mounts a tmpfs of that size at `path`; the returned function unmounts it and removes the folder. */
export async function mountTmpfs(path: string, sizeMiB: number): Promise<() => Promise<void>> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=0700`, 'bough-test', path]);
  return async () => {
    await execa('umount', ['--lazy', path]);
    await rm(path, { recursive: true, force: true });
  };
}

/** Makes a mounted tmpfs so small that only this much of it is free. */
export async function leaveFree(path: string, freeMiB: number): Promise<void> {
  const { blocks, bfree, bsize } = await statfs(path);
  const sizeBytes = (blocks - bfree) * bsize + freeMiB * MiB;
  await execa('mount', ['-o', `remount,size=${sizeBytes}`, path]);
}

/** Mounts a folder over itself, read-only; the returned function takes that back. */
export async function makeReadOnly(path: string): Promise<() => Promise<void>> {
  await execa('mount', ['--bind', path, path]);
  const undo = async (): Promise<void> => {
    await execa('umount', ['--lazy', path]);
  };
  try {
    await execa('mount', ['-o', 'remount,bind,ro', path]);
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}
