/**
 * Which modules of an unpacked kernel package a guest needs before it has a root file system, in an order in
 * which they load.
 *
 * The package brings no modules.dep (that is made when it is installed), but every module says itself what it
 * depends on, in its .modinfo section as `depends=a,b` and `softdep=pre: c`. What is built into the kernel
 * needs no module.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ImageBuildFailed } from './errors.js';

export interface KernelModule {
  readonly name: string;
  /** Uncompressed: the initramfs loads it as it is. */
  readonly content: Uint8Array;
}

/**
 * Modules for these names and all they depend on, dependencies first. Throws ImageBuildFailed for one that
 * does not exist.
 */
export async function modulesInOrder(modulesDir: string, wanted: readonly string[]): Promise<KernelModule[]> {
  const builtIn = await builtInNames(modulesDir);
  const paths = await modulePaths(modulesDir);
  const ordered = new Map<string, KernelModule>();
  const visiting = new Set<string>();

  const add = async (name: string, optional: boolean): Promise<void> => {
    if (builtIn.has(name) || visiting.has(name)) return;
    visiting.add(name);
    const path = paths.get(name);
    if (path === undefined) {
      if (optional) return;
      throw new ImageBuildFailed(`Cannot build an initramfs: ${modulesDir} has no module "${name}"`);
    }
    const content = await readModule(path);
    for (const dependency of moduleInfo(content, 'depends')) await add(dependency, false);
    for (const dependency of moduleInfo(content, 'softdep')) await add(dependency, true);
    ordered.set(name, { name, content });
  };
  for (const name of wanted) await add(canonical(name), false);
  return [...ordered.values()];
}

/** Names in a .modinfo value: comma-separated for `depends`, after "pre:" for `softdep`. */
export function moduleInfo(module: Uint8Array, key: 'depends' | 'softdep'): string[] {
  const text = Buffer.from(module.buffer, module.byteOffset, module.byteLength).toString('latin1');
  const values = [...text.matchAll(new RegExp(`\\0${key}=([^\\0]*)(?=\\0)`, 'g'))].map(
    ([, value = '']) => value,
  );
  const names = values.flatMap((value) =>
    key === 'depends' ? value.split(',') : (/^pre: *([^:]*?)(?: *post:|$)/.exec(value)?.[1] ?? '').split(' '),
  );
  return names.filter((name) => name !== '').map(canonical);
}

async function builtInNames(modulesDir: string): Promise<Set<string>> {
  const text = await readFile(join(modulesDir, 'modules.builtin'), 'utf8');
  return new Set(text.split('\n').map((line) => canonical(basename(line).replace(/\.ko$/, ''))));
}

async function modulePaths(modulesDir: string): Promise<Map<string, string>> {
  const files = await readdir(join(modulesDir, 'kernel'), { recursive: true });
  const paths = new Map<string, string>();
  for (const file of files) {
    const match = /([^/]+)\.ko(\.xz|\.zst|\.gz)?$/.exec(file);
    if (match?.[1] !== undefined) paths.set(canonical(match[1]), join(modulesDir, 'kernel', file));
  }
  return paths;
}

const DECOMPRESSORS: Record<string, string> = { '.xz': 'xz', '.zst': 'zstd', '.gz': 'gzip' };

async function readModule(path: string): Promise<Uint8Array> {
  const program = DECOMPRESSORS[/\.\w+$/.exec(path)?.[0] ?? ''];
  if (program === undefined) return readFile(path);
  const { execa } = await import('execa');
  const { stdout } = await execa(program, ['-dc', path], { encoding: 'buffer' });
  return stdout;
}

/** The kernel itself takes "-" and "_" in module names for the same. */
function canonical(name: string): string {
  return name.replaceAll('-', '_');
}
