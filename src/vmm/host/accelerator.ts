/**
 * Which accelerator guests of this host get.
 *
 * A KVM that opens may still not run a guest (nested and exotic hosts), and only a guest can tell. So once per host boot, QEMU
 * version and kernel, an image's own kernel and initramfs are started under KVM and must print their first line on the console within
 * a deadline; anything else means TCG, with the reason. The answer is kept in the cache folder, unless the guest was only silent: a
 * host that was busy for ten seconds is no host without KVM, and its snapshots would be refused until it boots again. Whoever knows
 * better says which (`wanted`), and nothing is tried then.
 *
 * Not handled: a KVM that works for some kernels only; the image that was asked for first decides.
 */
import { access, constants, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compact, messageOf, monotonicMs, sleep, writeFileAtomic } from '../../base/index.js';
import type { Accelerator, MachineSpec } from '../machine/machine.js';
import { cpuModelFor, type QemuFacts } from './probe.js';
import type { WantedAccelerator } from './wanted-accelerator.js';
import { Vmm, VmmStartFailed } from '../process/vmm.js';

/** What the image's init prints first. */
const GUEST_SIGN_OF_LIFE = 'bough: init';

const DEFAULT_DEADLINE_MS = 10_000;
const CONSOLE_POLL_MS = 20;
const PROBE_MEMORY_MIB = 512;
const PROBE_CMDLINE = 'console=ttyS0 panic=-1 bough.probe=1';

/** `probeMs` is how long the guest was given or took; absent when none was run. */
export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  /** Why not KVM, or how KVM was found to work. */
  readonly reason: string;
  readonly probeMs?: number;
  /** Whether the answer is from an earlier probe of the same host boot. */
  readonly cached: boolean;
}

export interface ChooseAcceleratorOptions {
  qemu: QemuFacts;
  /** `auto` if absent. */
  wanted?: WantedAccelerator;
  kernelPath: string;
  initrdPath?: string;
  cacheDir: string;
  deadlineMs?: number;
  /** Probe again even if the answer is known. */
  fresh?: boolean;
  kvmPath?: string;
}

/** KVM if a guest was seen to run under it, else TCG; rejects only if the answer cannot be kept. */
export async function chooseAccelerator(options: ChooseAcceleratorOptions): Promise<AcceleratorChoice> {
  const known = await knownAccelerator(options);
  if (known !== undefined) return known;
  const { isFinding, ...choice } = await runGuestUnderKvm(options);
  if (!isFinding) return choice;
  await mkdir(options.cacheDir, { recursive: true });
  const text = `${JSON.stringify({ key: await hostKey(options.qemu), ...choice }, undefined, 2)}\n`;
  await writeFileAtomic(cachePathIn(options.cacheDir), text, { mode: 0o644 });
  return choice;
}

/** The answer where none has to be found out: it was said, KVM does not open, or an earlier probe of this host boot has told. */
export async function knownAccelerator({
  qemu,
  wanted = 'auto',
  cacheDir,
  fresh = false,
  kvmPath = '/dev/kvm',
}: Pick<ChooseAcceleratorOptions, 'qemu' | 'wanted' | 'cacheDir' | 'fresh' | 'kvmPath'>): Promise<
  AcceleratorChoice | undefined
> {
  if (wanted !== 'auto') return { accelerator: wanted, reason: 'set, not tried', cached: false };
  const unusable = await whyKvmCannotOpen(kvmPath);
  if (unusable !== undefined) return { accelerator: 'tcg', reason: unusable, cached: false };
  return fresh ? undefined : readCached(cachePathIn(cacheDir), await hostKey(qemu));
}

const cachePathIn = (cacheDir: string): string => join(cacheDir, 'accelerator.json');

async function whyKvmCannotOpen(kvmPath: string): Promise<string | undefined> {
  try {
    await access(kvmPath, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `${kvmPath} cannot be used: ${messageOf(error)}`;
  }
}

async function hostKey(qemu: QemuFacts): Promise<string> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  return [bootId, qemu.version, release()].join(' ');
}

type CachedChoice = AcceleratorChoice & { readonly key: string };

async function readCached(path: string, key: string): Promise<AcceleratorChoice | undefined> {
  try {
    const { key: foundKey, ...choice } = JSON.parse(await readFile(path, 'utf8')) as CachedChoice;
    return foundKey === key ? { ...choice, cached: true } : undefined;
  } catch {
    return undefined;
  }
}

/** `isFinding`: it says something of the host, and not of the moment. */
async function runGuestUnderKvm(
  options: ChooseAcceleratorOptions,
): Promise<AcceleratorChoice & { isFinding: boolean }> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-probe-'));
  const startedMs = monotonicMs();
  try {
    const failure = await whyNoGuestRuns(options, dir);
    const probeMs = Math.round(monotonicMs() - startedMs);
    const facts = { probeMs, cached: false };
    if (failure === undefined) {
      return {
        accelerator: 'kvm',
        reason: `A guest ran under KVM after ${probeMs} ms`,
        ...facts,
        isFinding: true,
      };
    }
    const { why, isFinding } = failure;
    return { accelerator: 'tcg', reason: `KVM opens but runs no guest: ${why}`, ...facts, isFinding };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface ProbeFailure {
  readonly why: string;
  readonly isFinding: boolean;
}

const finding = (why: string): ProbeFailure => ({ why, isFinding: true });

async function whyNoGuestRuns(
  options: ChooseAcceleratorOptions,
  dir: string,
): Promise<ProbeFailure | undefined> {
  const { qemu, deadlineMs = DEFAULT_DEADLINE_MS } = options;
  const spec = probeSpec(options, dir);
  let vmm: Vmm;
  try {
    const logPath = join(dir, 'log');
    vmm = await Vmm.start({ spec, logPath, qemuPath: qemu.qemuPath, deadlineMs });
  } catch (error) {
    return { why: messageOf(error), isFinding: error instanceof VmmStartFailed };
  }
  try {
    return await whyNoSignOfLife(vmm, join(dir, 'console'), deadlineMs);
  } finally {
    await vmm.kill();
  }
}

async function whyNoSignOfLife(
  vmm: Vmm,
  consolePath: string,
  deadlineMs: number,
): Promise<ProbeFailure | undefined> {
  let ended: string | undefined;
  void vmm.exited.then(() => (ended ??= 'the VM ended'));
  vmm.qmp.on('event', ({ event }) => {
    // A guest that ends is stopped as well, after its SHUTDOWN.
    if (event === 'SHUTDOWN') ended ??= 'the VM ended';
    if (event === 'STOP') ended ??= 'the vCPU stopped with an internal error';
  });
  await vmm.qmp.execute('cont');
  const giveUpMs = monotonicMs() + deadlineMs;
  for (;;) {
    const endedBeforeReading = ended;
    if ((await readFile(consolePath, 'latin1')).includes(GUEST_SIGN_OF_LIFE)) return undefined;
    if (endedBeforeReading !== undefined) return finding(endedBeforeReading);
    if (monotonicMs() > giveUpMs)
      return { why: `nothing from its init within ${deadlineMs} ms`, isFinding: false };
    await sleep(CONSOLE_POLL_MS);
  }
}

function probeSpec({ qemu, kernelPath, initrdPath }: ChooseAcceleratorOptions, dir: string): MachineSpec {
  return {
    name: 'kvm-probe',
    machineType: qemu.machineType,
    accelerator: 'kvm',
    cpuModel: cpuModelFor('kvm'),
    vcpus: 1,
    memoryMiB: PROBE_MEMORY_MIB,
    boot: { kernelPath, cmdline: PROBE_CMDLINE, ...compact({ initrdPath }) },
    disk: [],
    console: { filePath: join(dir, 'console') },
    qmpSocketPath: join(dir, 'qmp'),
    incoming: false,
    seccomp: qemu.seccomp,
  };
}
