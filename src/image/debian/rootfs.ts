/**
 * The tree of files: Debian packages by mmdebstrap, our own files laid over them.
 */
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { debianSources } from './apt-sources.js';
import type { ImageDefinition } from '../definition.js';
import { PDEATHSIG, runTool } from '../host-tools.js';
import { ingredients, isSource, type Folders } from '../ingredients.js';

/** In every image: what a person or a program expects of the smallest usable system. */
const BASE_PACKAGES = ['ca-certificates', 'procps'];

/** Documentation and translations are half of a minimal system. */
const LEFT_OUT = ['doc', 'man', 'info', 'locale', 'lintian', 'bug'].map((dir) => `/usr/share/${dir}/*`);

/**
 * mmdebstrap mounts things and starts many processes. In namespaces of its own none of it is left however it ends: killing `unshare`
 * kills everything in them, and it is killed when this process is gone.
 */
const ALONE = [
  ...[...PDEATHSIG, 'unshare', '--mount', '--propagation', 'private'],
  ...['--pid', '--fork', '--kill-child', '--mount-proc', '--'],
];

const FILES: Record<string, string> = {
  'etc/hostname': 'bough\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 bough\n::1 localhost ip6-localhost\n',
  // QEMU's user network answers there, unless it is restricted: then a lookup should fail soon.
  'etc/resolv.conf': 'nameserver 10.0.2.3\noptions timeout:1 attempts:2\n',
  'etc/machine-id': '',
};

export interface StageInput extends Folders {
  readonly definition: ImageDefinition;
  readonly stageDir: string;
}

/** Lays out the files an image adds to Debian's. */
export async function stageFiles({ definition, stageDir, ...folders }: StageInput): Promise<void> {
  const put = async (from: string, to: string, mode?: number): Promise<void> => {
    await mkdir(join(stageDir, dirname(to)), { recursive: true });
    await cp(from, join(stageDir, to), { recursive: true, filter: (path) => isSource(relative(from, path)) });
    if (mode !== undefined) await chmod(join(stageDir, to), mode);
  };
  for (const { dir, from, to, mode } of ingredients(definition, folders))
    await put(join(dir, from), to, mode);
  for (const [to, text] of Object.entries(FILES)) {
    await mkdir(join(stageDir, dirname(to)), { recursive: true });
    await writeFile(join(stageDir, to), text);
  }
}

export interface RootTreeInput {
  readonly codename: string;
  readonly packages: readonly string[];
  readonly guestDir: string;
  readonly stageDir: string;
  /** Packages of earlier builds; new ones are added. */
  readonly debsDir: string;
  readonly workDir: string;
  readonly rootDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** Makes the tree of files. */
export async function makeRootTree(input: RootTreeInput): Promise<void> {
  const { codename, workDir, rootDir, signal } = input;
  const sourcesPath = join(workDir, 'sources.list');
  await writeFile(sourcesPath, `${(await debianSources(codename)).join('\n')}\n`);
  const hook = shellQuoted(join(input.guestDir, 'build/rootfs-hook.sh'));
  const packages = [...new Set([...BASE_PACKAGES, ...input.packages])];
  const args = [
    '--mode=root',
    '--variant=minbase',
    '--format=directory',
    `--include=${packages.join(',')}`,
    '--skip=download/empty,essential/unlink',
    ...(await hostAptOptions(signal)).map((option) => `--aptopt=${option}`),
    ...LEFT_OUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
    '--dpkgopt=force-unsafe-io',
    `--setup-hook=${hook} setup "$1"`,
    `--customize-hook=${hook} customize "$1"`,
    codename,
    rootDir,
    sourcesPath,
  ];
  await runTool('setpriv', [...ALONE, 'mmdebstrap', ...args], {
    what: `install Debian ${codename}`,
    cwd: workDir,
    env: {
      TMPDIR: workDir,
      BOUGH_DEBS: input.debsDir,
      BOUGH_STAGE: input.stageDir,
    },
    signal,
  });
}

/** How this host reaches its mirror, where that is not the plain way. */
export async function hostAptOptions(signal: AbortSignal | undefined): Promise<string[]> {
  const names = ['http::Proxy', 'https::Proxy', 'Check-Valid-Until', 'Check-Date'];
  const args = ['dump', '--no-empty', '--format', '%F "%v";%n', ...names.map((name) => `Acquire::${name}`)];
  const dump = await runTool('apt-config', args, { what: "read the host's apt configuration", signal });
  return dump.split('\n').filter((line) => line !== '');
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
