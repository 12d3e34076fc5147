/** What the numbers were measured on. A number without these means nothing. */
import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { probeQemu } from '../vmm/index.js';

export interface HostFacts {
  readonly date: string;
  readonly cpu: string;
  readonly cpuCount: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly qemu: string;
  readonly node: string;
  /** What guests ran under, such as `tcg`. */
  readonly accelerator: string;
  readonly guestMemoryMiB: number | undefined;
  readonly transparentHugePages: string;
  /** The virtual machine that the host is, in the words of `systemd-detect-virt`: `none`, `kvm`, and `qemu` for emulated processors. */
  readonly virtualMachine: string;
  /** How the processor chooses its frequency, such as `performance`; `unknown` in most virtual machines. */
  readonly frequencyGovernor: string;
}

/** How busy the host was meanwhile. */
export interface HostLoad {
  /** One-minute load average before the run, and after it, its own load included. */
  readonly loadBefore: number;
  readonly loadAfter: number;
  /** Share of the CPUs' time that the machine below this one took away, in percent. */
  readonly stealPercent: number;
}

/** Reads the facts; what cannot be read is `unknown`. What guests run under is the caller's to know. */
export async function readHostFacts(
  guest: Pick<HostFacts, 'accelerator' | 'guestMemoryMiB'>,
  qemuPath?: string,
): Promise<HostFacts> {
  const cpu = cpuModel(await readOr('/proc/cpuinfo', ''));
  return {
    date: new Date().toISOString(),
    cpu,
    cpuCount: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    qemu: await probeQemu(qemuPath).then(
      ({ version }) => version,
      () => 'unknown',
    ),
    node: process.versions.node,
    ...guest,
    transparentHugePages: chosen(await readOr('/sys/kernel/mm/transparent_hugepage/enabled', '')),
    virtualMachine: await virtualMachine(cpu),
    frequencyGovernor: (
      await readOr('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'unknown')
    ).trim(),
  };
}

/** Throws where guests run under a KVM that an emulated processor has: no time that is measured there is one of KVM's. */
export function checkWorthMeasuring({ accelerator, virtualMachine }: HostFacts): void {
  if (accelerator === 'kvm' && virtualMachine === 'qemu')
    throw new Error(
      "This host's processor is emulated by QEMU, so nothing measured under its KVM is a speed: nothing was measured.",
    );
}

/** Without systemd's program, from the name that QEMU's emulated processors give themselves. */
async function virtualMachine(cpu: string): Promise<string> {
  // It ends with 1 where it prints `none`.
  const { stdout } = await execa('systemd-detect-virt', ['--vm'], { reject: false });
  if (stdout !== '') return stdout;
  return cpu.startsWith('QEMU TCG CPU') ? 'qemu' : 'unknown';
}

/** Starts watching; the result tells what happened until it is called. */
export async function watchHostLoad(): Promise<() => Promise<HostLoad>> {
  const loadBefore = loadavg()[0] ?? 0;
  const before = cpuTicks(await readOr('/proc/stat', ''));
  return async () => {
    const after = cpuTicks(await readOr('/proc/stat', ''));
    const allTicks = after.all - before.all;
    const stealPercent = allTicks === 0 ? 0 : (100 * (after.steal - before.steal)) / allTicks;
    return { loadBefore, loadAfter: loadavg()[0] ?? 0, stealPercent };
  };
}

/** Ticks of all CPUs from the first line of /proc/stat: user nice system idle iowait irq softirq steal. */
export function cpuTicks(stat: string): { all: number; steal: number } {
  const ticks = (/^cpu\s+(.*)$/m.exec(stat)?.[1] ?? '').split(' ').slice(0, 8).map(Number);
  return { all: ticks.reduce((sum, each) => sum + each, 0), steal: ticks[7] ?? 0 };
}

/** The first `model name` of /proc/cpuinfo. */
export function cpuModel(cpuinfo: string): string {
  return /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim() ?? 'unknown';
}

/** The word in brackets of a kernel setting such as `always [madvise] never`. */
export function chosen(setting: string): string {
  return /\[(\w+)\]/.exec(setting)?.[1] ?? 'unknown';
}

/** One fact a line, without a mark in front. */
export function hostLines(facts: HostFacts, load: HostLoad): string[] {
  return [
    `${facts.date}; load ${load.loadBefore.toFixed(2)} before, ${load.loadAfter.toFixed(2)} after, steal ${load.stealPercent.toFixed(1)} %`,
    `${facts.cpuCount} × ${facts.cpu}, ${facts.memoryGiB} GiB, Linux ${facts.kernel}, transparent huge pages ${facts.transparentHugePages}`,
    `virtual machine: ${facts.virtualMachine}; frequency governor: ${facts.frequencyGovernor}`,
    `QEMU ${facts.qemu}, guests under ${facts.accelerator} with ${facts.guestMemoryMiB ?? 'unknown'} MiB, Node ${facts.node}`,
  ];
}

async function readOr(path: string, fallback: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => fallback);
}
