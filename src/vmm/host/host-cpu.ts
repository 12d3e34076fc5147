/** Which processor this host has. Under KVM a guest is given it as it is, and cannot go on on another. */
import { readFile } from 'node:fs/promises';

const FIELDS = ['vendor_id', 'cpu family', 'model', 'stepping', 'model name'] as const;

/** Such as `AuthenticAMD 25 1 1 AMD EPYC 7763`; see `processorIn`. */
export async function hostProcessor(): Promise<string> {
  return processorIn(await readFile('/proc/cpuinfo', 'utf8'));
}

/**
 * Vendor, family, model, stepping and name of the first processor in the text of /proc/cpuinfo; `unknown`
 * without any of them.
 */
export function processorIn(cpuinfo: string): string {
  const found = FIELDS.flatMap(
    (field) => new RegExp(`^${field}\\s*:\\s*(.+)$`, 'm').exec(cpuinfo)?.[1] ?? [],
  );
  return found.length === 0 ? 'unknown' : found.map((value) => value.trim()).join(' ');
}
