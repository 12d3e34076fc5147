/** Programs of the host that a build runs: whether they are there, and what they said when they failed. */
import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { compact } from '../base/index.js';
import { ImageBuildFailed } from './errors.js';

/** Program → Debian package that has it. */
const REQUIRED_TOOLS = {
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  'dpkg-deb': 'dpkg',
  'apt-get': 'apt',
  xz: 'xz-utils',
  unshare: 'util-linux',
  setpriv: 'util-linux',
} as const;

/** System administration programs are not in every user's PATH. */
const SEARCH_PATH = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`;

const KEPT_ERROR_LINES = 15;

/**
 * Checks what a build needs of the host and returns Debian's codename; throws ImageBuildFailed naming
 * everything that is missing.
 */
export async function checkBuildHost(): Promise<string> {
  if (process.getuid?.() !== 0) {
    throw new ImageBuildFailed(
      'Cannot build an image: it needs root, to make files of other owners and to chroot',
    );
  }
  const codename = debianCodename(await readFile('/etc/os-release', 'utf8').catch(() => ''));
  if (codename === undefined) {
    throw new ImageBuildFailed(
      'Cannot build an image: this host is not Debian, and images are made from its packages',
    );
  }
  const missing: string[] = [];
  for (const [tool, debianPackage] of Object.entries(REQUIRED_TOOLS)) {
    if (!(await isInstalled(tool))) missing.push(`${tool} (apt-get install ${debianPackage})`);
  }
  if (missing.length > 0) throw new ImageBuildFailed(`Cannot build an image: missing ${missing.join(', ')}`);
  return codename;
}

/** The codename in an os-release(5) text, if it is Debian's. */
export function debianCodename(osRelease: string): string | undefined {
  const value = (key: string): string | undefined =>
    new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(osRelease)?.[1];
  return value('ID') === 'debian' ? value('VERSION_CODENAME') : undefined;
}

async function isInstalled(tool: string): Promise<boolean> {
  for (const dir of SEARCH_PATH.split(':').filter((each) => each !== '')) {
    try {
      await access(join(dir, tool), constants.X_OK);
      return true;
    } catch {
      continue;
    }
  }
  return false;
}

export interface RunOptions {
  readonly what: string;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program and returns its stdout; throws ImageBuildFailed with the end of what it said, or the
 * signal's reason.
 */
export async function runTool(
  tool: string,
  args: readonly string[],
  { what, cwd, env = {}, signal }: RunOptions,
): Promise<string> {
  signal?.throwIfAborted();
  const result = await execa(tool, args, {
    reject: false,
    stdin: 'ignore',
    all: true,
    env: { ...env, PATH: SEARCH_PATH, LC_ALL: 'C.UTF-8' },
    killSignal: 'SIGKILL',
    ...compact({ cwd, cancelSignal: signal }),
  });
  signal?.throwIfAborted();
  if (!result.failed) return result.stdout;
  const said = result.all.trim().split('\n').slice(-KEPT_ERROR_LINES).join('\n');
  const how = result.exitCode === undefined ? result.shortMessage : `exited with ${result.exitCode}`;
  throw new ImageBuildFailed(`Cannot ${what}: ${tool} ${how}\n${said}`);
}
