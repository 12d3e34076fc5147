/**
 * What the running kernel offers: page tracking, mappings, huge pages, memory.
 *
 * The pager's own probe makes the system calls and is believed; without it the kernel's version tells what to expect.
 */
import { access, constants, readFile } from 'node:fs/promises';
import { release, totalmem } from 'node:os';
import { MiB } from '../../base/index.js';
import { fail, ok, warn, type Check } from './check.js';

/** Each run of a layer is one mapping; the kernel's usual limit suffices for folded layers. */
const MAP_COUNT_PATH = '/proc/sys/vm/max_map_count';
/** Linux's default. */
const MIN_MAP_COUNT = 65_530;
/** With this, a guest of 1 GiB that writes every second page is captured without filling gaps. */
const AMPLE_MAP_COUNT = 262_144;
const MIN_MEMORY_MIB = 2_048;

/** Major and minor of a kernel release such as `6.1.0-30-cloud-amd64`. */
export function parseKernelRelease(text: string): { major: number; minor: number } {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0) };
}

/** How pages can be tracked with a kernel of that release. */
export function checkPageTracking(kernelRelease: string): Check {
  const name = 'page tracking';
  const { major, minor } = parseKernelRelease(kernelRelease);
  const since = (otherMajor: number, otherMinor: number): boolean =>
    major > otherMajor || (major === otherMajor && minor >= otherMinor);
  if (since(6, 7)) return ok(name, `Linux ${kernelRelease}: PAGEMAP_SCAN and asynchronous write-protection`);
  if (since(5, 19)) {
    return warn(
      name,
      `Linux ${kernelRelease}: synchronous write-protection only`,
      'Linux 6.7 or newer branches faster',
    );
  }
  return fail(
    name,
    `Linux ${kernelRelease}: no write-protection of shared memory`,
    'Use Linux 5.19 or newer',
  );
}

/** What the pager's probe program reports, one JSON object of facts; falls back to the kernel's version. */
export async function checkPager(pagerProbePath: string): Promise<Check[]> {
  const tracking = checkPageTracking(release());
  const { execa } = await import('execa');
  const result = await execa(pagerProbePath, [], { reject: false, timeout: 10_000, killSignal: 'SIGKILL' });
  if (result.code === 'ENOENT') return [tracking];
  const name = 'pager';
  if (result.failed) {
    const why = result.stderr.trim();
    return [
      tracking,
      fail(name, `its probe failed: ${why === '' ? 'no reason given' : why}`, 'Run npm run build'),
    ];
  }
  return [tracking, describePagerFacts(name, result.stdout)];
}

/** One check from the probe's output. */
export function describePagerFacts(name: string, json: string): Check {
  let facts: Record<string, unknown>;
  try {
    facts = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return fail(name, `its probe printed ${JSON.stringify(json.slice(0, 80))}`, 'Run npm run build');
  }
  const found = Object.entries(facts)
    .map(([fact, value]) => `${fact} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
  const missing = Object.entries(facts).filter(([, value]) => value === false);
  if (missing.length === 0) return ok(name, found);
  return warn(
    name,
    found,
    `Missing: ${missing.map(([fact]) => fact).join(', ')}; live branches may be refused`,
  );
}

/** Whether this process may use userfaultfd for faults inside the kernel, too. */
export async function checkUserfaultfd(): Promise<Check> {
  const name = 'userfaultfd';
  if (process.getuid?.() === 0) return ok(name, 'allowed (root)');
  const sysctl = await readNumber('/proc/sys/vm/unprivileged_userfaultfd');
  if (sysctl === 1) return ok(name, 'allowed for every user');
  const device = await access('/dev/userfaultfd', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (device) return ok(name, 'allowed through /dev/userfaultfd');
  return warn(
    name,
    'user-mode faults only: asynchronous tracking works, the synchronous kind does not',
    'Run as root, or sysctl vm.unprivileged_userfaultfd=1',
  );
}

/** How many mappings a process may have: each run of a memory layer needs one. */
export async function checkMapCount(): Promise<Check> {
  const count = (await readNumber(MAP_COUNT_PATH)) ?? 0;
  const found = `vm.max_map_count = ${count}`;
  if (count >= AMPLE_MAP_COUNT) return ok('mappings', found);
  const setting = { path: MAP_COUNT_PATH, value: String(AMPLE_MAP_COUNT) };
  const advice = `sysctl vm.max_map_count=${AMPLE_MAP_COUNT}`;
  if (count < MIN_MAP_COUNT) return { ...warn('mappings', found, advice), setting };
  const wanting = `${found}; layers of guests that write scattered pages get their gaps filled (${advice})`;
  return { ...ok('mappings', wanting), setting };
}

/** The host's memory. */
export function checkMemory(): Check {
  const memoryMiB = Math.floor(totalmem() / MiB);
  const found = `${memoryMiB} MiB`;
  if (memoryMiB >= MIN_MEMORY_MIB) return ok('memory', found);
  return warn('memory', found, `${MIN_MEMORY_MIB} MiB or more are needed for more than one sandbox`);
}

/** Whether huge pages are forced on guests, where one write would copy 2 MiB. */
export async function checkHugePages(): Promise<Check> {
  const name = 'transparent huge pages';
  const path = '/sys/kernel/mm/transparent_hugepage/enabled';
  const text = await readFile(path, 'utf8').catch(() => '[never]');
  const setting = /\[(\w+)\]/.exec(text)?.[1] ?? 'unknown';
  if (setting !== 'always') return ok(name, setting);
  const remedy = `echo madvise > ${path}, so that small writes stay small`;
  return { ...warn(name, setting, remedy), setting: { path, value: 'madvise' } };
}

async function readNumber(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text);
}
