/**
 * Makes a fresh checkout ready to run: Debian packages, npm packages, the build. Does only what is missing, and says what it does.
 *
 * Plain JavaScript without dependencies, because it runs before `npm ci`. Every requirement is recognised by a file, not by a
 * package's name, so a host that has the programs from elsewhere is left alone; on one that lacks them and cannot be helped
 * (no root, not Debian) the exact command is printed.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

export const PROJECT_DIR = fileURLToPath(new URL('..', import.meta.url));
/** The first with `AbortSignal.any`. */
const MIN_NODE = [20, 3];

/** What must be there, how it is recognised (a program's name, or a file's path), and which Debian package brings it. */
export const REQUIREMENTS = [
  { needs: 'qemu-system-x86_64', package: 'qemu-system-x86' },
  { needs: 'qemu-img', package: 'qemu-utils' },
  { needs: 'mmdebstrap', package: 'mmdebstrap' },
  { needs: '/usr/share/keyrings/debian-archive-keyring.gpg', package: 'debian-archive-keyring' },
  { needs: 'mke2fs', package: 'e2fsprogs' },
  { needs: 'xz', package: 'xz-utils' },
  { needs: 'zstd', package: 'zstd' },
  { needs: 'flock', package: 'util-linux' },
  { needs: 'python3', package: 'python3' },
  { needs: 'gcc', package: 'gcc' },
  { needs: 'musl-gcc', package: 'musl-tools' },
  { needs: 'make', package: 'make' },
  { needs: '/usr/include/stdlib.h', package: 'libc6-dev' },
];

/** Besides, what tests need: images from elsewhere are made, served and imported. Who uses bough has them installed by the first import. */
export const TEST_REQUIREMENTS = [
  { needs: 'skopeo', package: 'skopeo' },
  { needs: 'umoci', package: 'umoci' },
  { needs: 'buildah', package: 'buildah' },
  { needs: 'docker-registry', package: 'docker-registry' },
  // By its package's list: a busybox that needs libraries has the same name, and runs in no image without them.
  { needs: '/var/lib/dpkg/info/busybox-static.list', package: 'busybox-static' },
  { needs: 'setcap', package: 'libcap2-bin' },
];

/** Besides, what the images tier needs: images are handed over by those who have them. */
export const ENGINE_REQUIREMENTS = [
  { needs: 'dockerd', package: 'docker.io' },
  { needs: 'docker', package: 'docker.io' },
  { needs: 'podman', package: 'podman' },
];

/** A reason to stop that the user can act on; printed without a stack. */
export class SetupFailed extends Error {}

/**
 * Runs every step; resolves once `dist/` and the pager are built from the present sources. `guests`: real VMs are to run then;
 * `tests`: tests are; `engines`: some of Docker and Podman.
 */
export async function setup({ guests = false, tests = false, engines = false } = {}) {
  checkNode(process.versions.node);
  if (guests) checkGuestHost(process.getuid?.(), osReleaseText());
  await ensureDebianPackages([
    ...REQUIREMENTS,
    ...(tests ? TEST_REQUIREMENTS : []),
    ...(engines ? ENGINE_REQUIREMENTS : []),
  ]);
  await ensureNpmPackages();
  await ensureBuilt();
  if (guests) await ensureMapCount();
}

const MAP_COUNT_PATH = '/proc/sys/vm/max_map_count';
/** Each run of a memory layer is a mapping of the VM that stands on it; see `bough doctor`. */
export const AMPLE_MAP_COUNT = 262_144;

/** Raises vm.max_map_count until the next boot, where that is allowed; nothing depends on it. */
export async function ensureMapCount(path = MAP_COUNT_PATH) {
  try {
    if (Number(readFileSync(path, 'utf8')) >= AMPLE_MAP_COUNT) return;
    await step(`raising vm.max_map_count to ${AMPLE_MAP_COUNT}`, async () =>
      writeFileSync(path, `${AMPLE_MAP_COUNT}\n`),
    );
  } catch (error) {
    console.error(`setup: vm.max_map_count stays as it is: ${error.message}`);
  }
}

/** Throws SetupFailed for a Node that is too old; the version is like `20.1.0`. */
export function checkNode(version) {
  const [major, minor] = version.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  throw new SetupFailed(
    `Node ${MIN_NODE.join('.')} or newer is needed, found ${version}. See https://nodejs.org/en/download`,
  );
}

/** Throws SetupFailed, naming all that is missing, unless guest images can be built: as root, on Debian. */
export function checkGuestHost(uid, osRelease) {
  const value = (key) => new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(osRelease)?.[1];
  const missing = [];
  if (uid !== 0) missing.push('root, to build guest images (run this again with sudo)');
  if (value('ID') !== 'debian') {
    const found = value('PRETTY_NAME') ?? 'an unknown system';
    missing.push(`Debian 12 or 13, of whose packages guest images are made (this is ${found})`);
  }
  if (missing.length > 0) throw new SetupFailed(`Needed here: ${missing.join('; ')}.`);
}

function osReleaseText() {
  return existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
}

/** The Debian packages of those requirements that are not met. */
export function missingDebianPackages(requirements = REQUIREMENTS) {
  const folders = `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  const isMet = (needs) =>
    needs.startsWith('/') ? existsSync(needs) : folders.some((folder) => existsSync(join(folder, needs)));
  const missing = requirements.filter(({ needs }) => !isMet(needs)).map((requirement) => requirement.package);
  return [...new Set(missing)];
}

async function ensureDebianPackages(requirements) {
  const missing = missingDebianPackages(requirements);
  if (missing.length === 0) return;
  const install = `apt-get install --yes --no-install-recommends ${missing.join(' ')}`;
  if (!existsSync('/usr/bin/apt-get')) {
    throw new SetupFailed(
      `Not installed: ${missing.join(', ')} (Debian's names). This is not Debian: install them by hand.`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new SetupFailed(`Not installed: ${missing.join(', ')}. As root: apt-get update && ${install}`);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-qq', '-o', 'DPkg::Lock::Timeout=120'];
  await step('updating the package lists', () => run('apt-get', [...options, 'update'], { env }));
  await step(`installing ${missing.join(' ')}`, () =>
    run('apt-get', [...options, ...install.split(' ').slice(1)], { env }),
  );
  const still = missingDebianPackages(requirements);
  if (still.length > 0) throw new SetupFailed(`Still missing after apt-get install: ${still.join(', ')}`);
}

/** Whether node_modules holds exactly the versions of the lockfile (npm notes what it installed in node_modules itself). */
export function npmPackagesMatch(projectDir = PROJECT_DIR) {
  try {
    const wanted = readPackages(join(projectDir, 'package-lock.json'));
    const installed = readPackages(join(projectDir, 'node_modules/.package-lock.json'));
    return Object.entries(wanted).every(
      ([path, { version, optional }]) => path === '' || optional || installed[path]?.version === version,
    );
  } catch {
    return false;
  }
}

function readPackages(lockfile) {
  return JSON.parse(readFileSync(lockfile, 'utf8')).packages;
}

async function ensureNpmPackages() {
  if (npmPackagesMatch()) return;
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-fund', '--no-audit'];
  await step('installing npm packages', () => run('npm', args, { env: withoutGlobalInstall(process.env) }));
}

/** What npm tells its scripts about a global install would make an npm that they start install globally too. */
export function withoutGlobalInstall(env) {
  const isOfInstall = (name) => /^npm_config_(global|location|prefix|local_prefix)$/.test(name);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isOfInstall(name)));
}

const BUILD_INPUTS = ['src', 'test', 'native', 'guest', 'package.json', 'package-lock.json'];
const BUILD_STAMP = 'dist/.built-from';

async function ensureBuilt() {
  const stampPath = join(PROJECT_DIR, BUILD_STAMP);
  const inputs = fingerprint(PROJECT_DIR);
  const nativeBuilt = [
    'native/pager/build/libpager.so',
    'native/gate/build/libgate.so',
    'native/agent/build/bough-agent',
  ].every((path) => existsSync(join(PROJECT_DIR, path)));
  if (nativeBuilt && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === inputs) return;
  await step('building', () => run('npm', ['run', '--silent', 'build']));
  mkdirSync(join(PROJECT_DIR, 'dist'), { recursive: true });
  writeFileSync(stampPath, inputs);
}

/** A digest of name, size and time of every file the build reads; changes when one is added, edited or removed. */
export function fingerprint(projectDir) {
  const configs = readdirSync(projectDir).filter((name) => /^tsconfig.*\.json$/.test(name));
  const hash = createHash('sha256');
  for (const input of [...BUILD_INPUTS, ...configs]) {
    for (const path of filesBelow(join(projectDir, input))) {
      const { size, mtimeMs } = statSync(path);
      hash.update(`${path}\0${size}\0${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

/** Every file at or below `path`, sorted, without build output. */
export function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => name !== 'build' && name !== 'out');
  return names.sort().flatMap((name) => filesBelow(join(path, name)));
}

/** Runs `work`, with a line before and the seconds after. */
export async function step(what, work) {
  const startedMs = performance.now();
  console.error(`setup: ${what} …`);
  await work();
  console.error(`setup: ${what}: done in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
}

/** Runs a program in the project's folder with our output; rejects with SetupFailed unless it succeeds. */
export async function run(program, args, { env = process.env } = {}) {
  const status = await runForStatus(program, args, { env });
  if (status !== 0) throw new SetupFailed(`${program} ${args.join(' ')} failed with ${status}`);
}

/** The same, resolving with the exit status, or the name of the signal that ended it. */
export function runForStatus(program, args, { env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: PROJECT_DIR, env, stdio: 'inherit' });
    child.once('error', (cause) => reject(new SetupFailed(`Cannot run ${program}: ${cause.message}`)));
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
}

/** Whether the module at `url` is the program that was started. */
export function isMain(url) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url);
}

/** Runs a script's main function; prints a SetupFailed as one line and sets the exit status. */
export async function runMain(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(error instanceof SetupFailed ? `error: ${error.message}` : error);
    process.exitCode = 1;
  }
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await setup();
    console.error('setup: ready');
    return 0;
  });
}
