/** Programs of the host that make images: seeing to it that they are there, and what they said when they failed. */
import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compact } from '../base/index.js';
import { ImageBuildFailed } from './errors.js';

/** A program of the host, its Debian package, and what it is for. */
export interface Tool {
  readonly program: string;
  readonly debianPackage: string;
  readonly purpose: string;
}

const tool = (program: string, debianPackage: string, purpose: string): Tool => ({
  program,
  debianPackage,
  purpose,
});

/** What every image is made with. */
const COMMON_TOOLS = [
  tool('mke2fs', 'e2fsprogs', 'writes the file system'),
  tool('dpkg-deb', 'dpkg', "unpacks the kernel's package"),
  tool('apt-get', 'apt', "fetches Debian's packages"),
  tool('xz', 'xz-utils', "unpacks the kernel's modules"),
  tool('setpriv', 'util-linux', 'ends what runs when this process ends'),
];

export const BUILD_TOOLS = [
  tool('mmdebstrap', 'mmdebstrap', "installs Debian's packages"),
  tool('unshare', 'util-linux', 'keeps what is mounted away from the host'),
  ...COMMON_TOOLS,
];

export const IMPORT_TOOLS = [
  tool('skopeo', 'skopeo', 'fetches images from registries, Docker, Podman and archives'),
  tool('umoci', 'umoci', 'unpacks the layers of an image'),
  ...COMMON_TOOLS,
];

export const DOCKERFILE_TOOLS = [
  tool('buildah', 'buildah', 'builds what a Dockerfile says'),
  tool('unshare', 'util-linux', 'keeps what is mounted away from the host'),
  ...IMPORT_TOOLS,
];

/** Before a program and its arguments, for setpriv: it is killed when this process is gone, however that ended. */
export const PDEATHSIG = ['--pdeathsig', 'KILL', '--'];

/** System administration programs are not in every user's PATH. */
const SEARCH_PATH = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`;

const KEPT_ERROR_LINES = 15;

/** Who waits, and is told what is being done. */
export interface Waiting {
  readonly onProgress: (step: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Checks what the attempt ("import an image") needs of the host and returns Debian's codename. Programs that are missing are installed,
 * each named with what it is for; throws ImageBuildFailed for what cannot be helped, naming everything.
 */
export async function checkHost(attempt: string, tools: readonly Tool[], waiting: Waiting): Promise<string> {
  if (process.getuid?.() !== 0) {
    throw new ImageBuildFailed(`Cannot ${attempt}: it needs root, to make files of other owners`);
  }
  const codename = debianCodename(await readFile('/etc/os-release', 'utf8').catch(() => ''));
  if (codename === undefined) {
    throw new ImageBuildFailed(`Cannot ${attempt}: this host is not Debian, whose kernel a guest runs`);
  }
  await ensureTools(attempt, tools, waiting);
  return codename;
}

/** Installs the packages of the programs that are missing. Throws ImageBuildFailed when they still are, with the end of what apt-get said. */
export async function ensureTools(
  attempt: string,
  tools: readonly Tool[],
  { onProgress, signal }: Waiting,
): Promise<void> {
  const missing = await missingTools(tools);
  if (missing.length === 0) return;
  const words = missingWords(missing);
  onProgress(words);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const what = `${attempt}: ${words}`;
  const options = ['-qq', '-o', 'DPkg::Lock::Timeout=120'];
  const install = ['install', '--yes', '--no-install-recommends', ...packagesOf(missing)];
  // Not killed with this process: dpkg must not be ended in the middle.
  await runTool('apt-get', [...options, 'update'], { what, env, signal });
  await runTool('apt-get', [...options, ...install], { what, env });
  const still = await missingTools(tools);
  if (still.length > 0) throw new ImageBuildFailed(`Cannot ${attempt}: still ${missingWords(still)}`);
}

export async function missingTools(tools: readonly Tool[]): Promise<Tool[]> {
  const checked = await Promise.all(
    tools.map(async (each) => ((await isInstalled(each.program)) ? [] : [each])),
  );
  return checked.flat();
}

/** "skopeo (fetches images …) is missing: apt-get install skopeo". */
export function missingWords(missing: readonly Tool[]): string {
  const programs = missing.map(({ program, purpose }) => `${program} (${purpose})`).join(', ');
  const verb = missing.length === 1 ? 'is' : 'are';
  return `${programs} ${verb} missing: apt-get install ${packagesOf(missing).join(' ')}`;
}

const packagesOf = (tools: readonly Tool[]): string[] => [
  ...new Set(tools.map(({ debianPackage }) => debianPackage)),
];

/** The codename in an os-release(5) text, if it is Debian's. */
export function debianCodename(osRelease: string): string | undefined {
  const value = (key: string): string | undefined =>
    new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(osRelease)?.[1];
  return value('ID') === 'debian' ? value('VERSION_CODENAME') : undefined;
}

async function isInstalled(program: string): Promise<boolean> {
  for (const dir of SEARCH_PATH.split(':').filter((each) => each !== '')) {
    try {
      await access(join(dir, program), constants.X_OK);
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
  { what, signal, ...options }: RunOptions,
): Promise<string> {
  const { execa } = await import('execa');
  signal?.throwIfAborted();
  const result = await execa(tool, args, settings({ signal, ...options }));
  signal?.throwIfAborted();
  if (!result.failed) return result.stdout;
  throw failure(what, programOf(tool, args), result, result.all.trim().split('\n'));
}

/** As `runTool`, for one that prints much and takes long: each line is told as it comes, not kept, and not repeated in the error. */
export async function followTool(
  tool: string,
  args: readonly string[],
  { what, signal, onLine, ...options }: RunOptions & { readonly onLine: (line: string) => void },
): Promise<void> {
  const { execa } = await import('execa');
  signal?.throwIfAborted();
  const running = execa(tool, args, { ...settings({ signal, ...options }), buffer: false });
  for await (const line of running.iterable({ from: 'all' })) onLine(line);
  const result = await running;
  signal?.throwIfAborted();
  if (result.failed) throw failure(what, programOf(tool, args), result, []);
}

const settings = ({ cwd, env = {}, signal }: Omit<RunOptions, 'what'>) =>
  ({
    reject: false,
    stdin: 'ignore',
    all: true,
    env: { ...env, PATH: SEARCH_PATH, LC_ALL: 'C.UTF-8' },
    killSignal: 'SIGKILL',
    ...compact({ cwd, cancelSignal: signal }),
  }) as const;

/** Programs that run another one. */
const AROUND_OTHERS = new Set(['setpriv', 'unshare']);

/** What failed is that other one. */
function programOf(tool: string, args: readonly string[]): string {
  const at = args.indexOf('--') + 1;
  if (!AROUND_OTHERS.has(tool) || at === 0) return tool;
  return programOf(args[at] ?? tool, args.slice(at + 1));
}

/** What was tried again is told by how it ended. */
const TRIED_AGAIN = 'level=warning msg="Failed, retrying';

/** Without what a log puts around its words. */
const unlogged = (line: string): string =>
  line.replace(/^time="[^"]*" level=\w+ msg="(.*)"$/, (_line, words: string) => words.replaceAll('\\"', '"'));

function failure(
  what: string,
  tool: string,
  {
    exitCode,
    shortMessage = '',
  }: { readonly exitCode?: number | undefined; readonly shortMessage?: string | undefined },
  said: readonly string[],
): ImageBuildFailed {
  const how = exitCode === undefined ? shortMessage : `exited with ${exitCode}`;
  const words = said.filter((line) => !line.includes(TRIED_AGAIN)).slice(-KEPT_ERROR_LINES);
  return new ImageBuildFailed([`Cannot ${what}: ${tool} ${how}`, ...words.map(unlogged)].join('\n'));
}
