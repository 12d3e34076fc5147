/** What the numbers were measured on. A number without these means nothing. */
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
  return {
    date: new Date().toISOString(),
    cpu: cpuModel(await readOr('/proc/cpuinfo', '')),
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
  };
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
    `QEMU ${facts.qemu}, guests under ${facts.accelerator} with ${facts.guestMemoryMiB ?? 'unknown'} MiB, Node ${facts.node}`,
  ];
}

async function readOr(path: string, fallback: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => fallback);
}
