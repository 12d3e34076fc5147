/** What the numbers were measured on. A number without these means nothing. */
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { probeQemu } from '../src/vmm/index.js';

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
  /** One-minute load average when the run began; the benchmark's own load comes on top. */
  readonly loadAtStart: number;
}

/** Reads the facts; what cannot be read is `unknown`. What guests run under is the caller's to know. */
export async function readHostFacts(
  guest: Pick<HostFacts, 'accelerator' | 'guestMemoryMiB'>,
): Promise<HostFacts> {
  return {
    date: new Date().toISOString(),
    cpu: cpuModel(await readOr('/proc/cpuinfo', '')),
    cpuCount: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    qemu: await probeQemu().then(
      ({ version }) => version,
      () => 'unknown',
    ),
    node: process.versions.node,
    ...guest,
    transparentHugePages: chosen(await readOr('/sys/kernel/mm/transparent_hugepage/enabled', '')),
    loadAtStart: loadavg()[0] ?? 0,
  };
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
export function hostLines(facts: HostFacts): string[] {
  return [
    `${facts.date}, load ${facts.loadAtStart.toFixed(2)} at the start`,
    `${facts.cpuCount} × ${facts.cpu}, ${facts.memoryGiB} GiB, Linux ${facts.kernel}, transparent huge pages ${facts.transparentHugePages}`,
    `QEMU ${facts.qemu}, guests under ${facts.accelerator} with ${facts.guestMemoryMiB ?? 'unknown'} MiB, Node ${facts.node}`,
  ];
}

async function readOr(path: string, fallback: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => fallback);
}
