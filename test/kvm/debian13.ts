/**
 * A tree of Debian 13 from this host's own mirrors: QEMU 10 to run tests with, and the outer machine in which KVM has a processor that
 * can.
 *
 * It lies in the cache folder under a digest of all that it is made of but the archive's own updates, so it is made once; a tree of
 * another recipe is removed. Nothing of it is installed: QEMU is copied beside itself with its loader and libraries named in it, so that
 * it runs on this host as it is, and its process is seen to be QEMU.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { sourcesOfRelease } from '../../src/image/debian/apt-sources.js';
import { hostAptOptions } from '../../src/image/debian/rootfs.js';

const CODENAME = 'trixie';
/** What the outer machine boots, runs guests with, runs the project with, and builds the pager's mutants with. */
const PACKAGES = [
  ...[
    'linux-image-amd64',
    'kmod',
    'qemu-system-x86',
    'qemu-utils',
    'nodejs',
    'python3',
    'iproute2',
    'procps',
  ],
  ...['make', 'gcc', 'libc6-dev', 'binutils', 'mount', 'e2fsprogs', 'patchelf'],
];
const LEFT_OUT = ['doc', 'man', 'locale', 'info'].map((folder) => `/usr/share/${folder}/*`);
const PREFIX = 'debian13-';
const QEMU = 'usr/bin/qemu-system-x86_64';
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
const LOADER = 'usr/lib64/ld-linux-x86-64.so.2';

/** Its folder; made unless it is there. */
export async function debian13(cacheDir: string): Promise<string> {
  const sources = await sourcesOf(CODENAME);
  const recipe = createHash('sha256').update(JSON.stringify([sources, PACKAGES, LEFT_OUT, 1]));
  const parent = join(cacheDir, 'test');
  const name = `${PREFIX}${recipe.digest('hex').slice(0, 12)}`;
  const dir = join(parent, name);
  if (existsSync(dir)) return dir;
  await mkdir(parent, { recursive: true });
  for (const old of await readdir(parent))
    if (old.startsWith(PREFIX)) await rm(join(parent, old), { recursive: true });
  process.stderr.write('setup: a tree of Debian 13 …\n');
  const unfinished = join(parent, `${PREFIX}unfinished`);
  await install(unfinished, sources);
  await nameLibraries(unfinished, dir);
  await rename(unfinished, dir);
  return dir;
}

/** QEMU of that tree, as this host can start it. */
export function qemuOf(tree: string): string {
  return join(tree, `${QEMU}-outside`);
}

/** This host's sources with the release's name replaced; themselves on a Debian 13. */
async function sourcesOf(codename: string): Promise<string[]> {
  const own = /^VERSION_CODENAME=(.*)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? codename;
  return sourcesOfRelease(codename, own);
}

async function install(dir: string, sources: readonly string[]): Promise<void> {
  const sourcesPath = `${dir}.list`;
  await writeFile(sourcesPath, `${sources.join('\n')}\n`);
  const args = [
    ...['--mode=root', '--variant=minbase', '--format=directory', `--include=${PACKAGES.join(',')}`],
    '--aptopt=APT::Install-Recommends "false"',
    ...(await hostAptOptions(undefined)).map((option) => `--aptopt=${option}`),
    ...LEFT_OUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    ...['--dpkgopt=force-unsafe-io', CODENAME, dir, sourcesPath],
  ];
  await execa('mmdebstrap', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  await rm(sourcesPath);
}

/** `tree` is where it is now, `home` where it will be found. */
async function nameLibraries(tree: string, home: string): Promise<void> {
  const path = qemuOf(tree);
  await copyFile(join(tree, QEMU), path);
  const patchelf = ['--library-path', join(tree, LIBRARIES), join(tree, 'usr/bin/patchelf')];
  // An RPATH, unlike a RUNPATH, is where the libraries' own libraries are looked for too.
  const names = [
    '--set-interpreter',
    join(home, LOADER),
    '--force-rpath',
    '--set-rpath',
    join(home, LIBRARIES),
  ];
  await execa(join(tree, LOADER), [...patchelf, ...names, path]);
}
