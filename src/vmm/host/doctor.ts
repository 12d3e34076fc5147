/**
 * Can this host run bough, and how well? Every answer is tried out where trying is cheap: QEMU is started,
 * folders are written, KVM runs a guest. Nothing is changed and nothing stays behind, besides the remembered
 * KVM answer in the cache folder.
 */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { IsolationLevel } from '../../contract/index.js';
import { compact, messageOf } from '../../base/index.js';
import { chooseAccelerator, knownAccelerator } from './accelerator.js';
import { fail, ok, warn, type Check } from './check.js';
import { Cgroups } from '../process/cgroups.js';
import { DEFAULT_QEMU_PATH } from '../process/vmm.js';
import { checkCgroups, checkIsolation } from './check-isolation.js';
import { checkGate, GATE_LIBRARY } from './check-gate.js';
import { checkDurableDir, checkHotDir } from './check-folders.js';
import { checkHugePages, checkMapCount, checkMemory, checkPager, checkUserfaultfd } from './check-kernel.js';
import { probeQemu, type QemuFacts } from './probe.js';
import type { WantedAccelerator } from './wanted-accelerator.js';

/** Where a built pager's probe program is found, seen from dist/src/vmm/. */
const PAGER_PROBE_PATH = fileURLToPath(
  new URL('../../../../native/pager/build/pager-probe', import.meta.url),
);
const MIN_NODE_MAJOR = 20;
const MIN_QEMU_MAJOR = 7;

/** Folders to examine; `guest` is an image's kernel and initramfs for the KVM probe. */
export interface DoctorOptions {
  stateDir: string;
  hotDir: string;
  cacheDir: string;
  qemuPath?: string;
  /** `auto` if absent. */
  accelerator?: WantedAccelerator;
  pagerProbePath?: string;
  /** As the daemon is to be told; `none` if absent. */
  isolation?: IsolationLevel | 'auto';
  guest?: { kernelPath: string; initrdPath?: string };
}

/** Examines the host; never rejects: a check that cannot be made is a failed one. */
export async function runDoctor(options: DoctorOptions): Promise<Check[]> {
  const qemu = await probeQemu(options.qemuPath).catch((error: unknown) => messageOf(error));
  const checks: [name: string, check: () => Check | Check[] | Promise<Check | Check[]>][] = [
    ['node', checkNode],
    ['user', checkUser],
    ['distribution', checkDistribution],
    ['qemu', () => checkQemu(qemu)],
    ['programs', checkPrograms],
    ['accelerator', () => checkAccelerator(qemu, options)],
    ['network', () => checkGate(qemu)],
    ['pager', () => checkPager(options.pagerProbePath ?? PAGER_PROBE_PATH)],
    ['userfaultfd', checkUserfaultfd],
    ['mappings', checkMapCount],
    ['transparent huge pages', checkHugePages],
    ['memory', checkMemory],
    ['memory limits', () => checkCgroups(new Cgroups(`bough-doctor-${process.pid}`))],
    [
      'isolation',
      () =>
        checkIsolation(reachOf(options), options.qemuPath ?? DEFAULT_QEMU_PATH, options.isolation ?? 'none'),
    ],
    ['hot folder', () => checkHotDir(options.hotDir)],
    ['state folder', () => checkDurableDir('state folder', options.stateDir)],
    ['cache folder', () => checkDurableDir('cache folder', options.cacheDir)],
  ];
  const results: Check[] = [];
  for (const [name, check] of checks) {
    try {
      results.push(...[await check()].flat());
    } catch (error) {
      results.push(fail(name, `could not be examined: ${messageOf(error)}`, 'See the message'));
    }
  }
  return results;
}

/** What VMMs would have to reach, before the daemon has made its folders. */
const reachOf = ({ qemuPath = DEFAULT_QEMU_PATH, stateDir, hotDir }: DoctorOptions): string[] => [
  ...[qemuPath, GATE_LIBRARY, dirname(stateDir), dirname(hotDir)],
];

function checkNode(): Check {
  const { node } = process.versions;
  if (Number(node.split('.')[0]) >= MIN_NODE_MAJOR) return ok('node', node);
  return fail('node', node, `Install Node ${MIN_NODE_MAJOR} or newer`);
}

function checkUser(): Check {
  if (process.getuid?.() === 0) return ok('user', 'root');
  return warn(
    'user',
    `uid ${process.getuid?.() ?? 'unknown'}`,
    'Building images and installing packages need root',
  );
}

async function checkDistribution(): Promise<Check> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown';
  if (/^ID(_LIKE)?=.*\bdebian\b/m.test(text)) return ok('distribution', name);
  return warn('distribution', name, 'bough is tested on Debian 12 and 13; images are built with mmdebstrap');
}

function checkQemu(qemu: QemuFacts | string): Check[] {
  if (typeof qemu === 'string') return [fail('qemu', qemu, 'apt-get install qemu-system-x86')];
  const found = `${qemu.version} (${qemu.machineType}) at ${qemu.qemuPath}`;
  const version =
    Number(qemu.version.split('.')[0]) >= MIN_QEMU_MAJOR
      ? ok('qemu', found)
      : fail('qemu', found, `QEMU ${MIN_QEMU_MAJOR}.2 or newer is needed`);
  const seccomp = qemu.seccomp
    ? ok('seccomp', 'QEMU runs under its system call filter')
    : warn('seccomp', 'this QEMU has no system call filter', 'Use a QEMU built with seccomp');
  return [version, seccomp];
}

const PROGRAMS: readonly [program: string, debianPackage: string, args: readonly string[]][] = [
  ['qemu-img', 'qemu-utils', ['--version']],
  ['mmdebstrap', 'mmdebstrap', ['--version']],
  ['mke2fs', 'e2fsprogs', ['-V']],
  ['gcc', 'gcc', ['--version']],
  ['make', 'make', ['--version']],
  ['flock', 'util-linux', ['--version']],
];

async function checkPrograms(): Promise<Check[]> {
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const { execa } = await import('execa');
  return Promise.all(
    PROGRAMS.map(async ([program, debianPackage, args]) => {
      const result = await execa(program, args, { env, reject: false, timeout: 10_000, all: true });
      const firstLine = result.all.trim().split('\n')[0] ?? '';
      return result.failed
        ? fail(program, 'missing', `apt-get install ${debianPackage}`)
        : ok(program, firstLine === '' ? 'present' : firstLine);
    }),
  );
}

async function checkAccelerator(qemu: QemuFacts | string, options: DoctorOptions): Promise<Check> {
  const name = 'accelerator';
  if (typeof qemu === 'string') return fail(name, 'unknown without QEMU', 'apt-get install qemu-system-x86');
  const { cacheDir, guest } = options;
  const asked = { qemu, cacheDir, ...compact({ wanted: options.accelerator }) };
  const choice =
    guest === undefined ? await knownAccelerator(asked) : await chooseAccelerator({ ...asked, ...guest });
  if (choice === undefined) {
    return warn(name, 'not probed: no image is built yet', 'Run bough image build, then bough doctor');
  }
  if (choice.accelerator === 'kvm') return ok(name, `kvm: ${choice.reason}`);
  return warn(
    name,
    `tcg (software emulation): ${choice.reason}`,
    'Guests run slower, and TCG is not a security boundary; use a host whose KVM runs guests',
  );
}
