/** Faults in nested page tables, as KVM counts them for each virtual machine in debugfs (Linux, arch/x86/kvm/x86.c: `pf_fixed`). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const KVM_STATISTICS = '/sys/kernel/debug/kvm';

/** Those of the machine of a process since it began; undefined without KVM, and where debugfs is not mounted or not ours to read. */
export async function nestedFaults(pid: number): Promise<number | undefined> {
  try {
    const machine = (await readdir(KVM_STATISTICS)).find((name) => name.startsWith(`${pid}-`));
    if (machine === undefined) return undefined;
    return Number(await readFile(join(KVM_STATISTICS, machine, 'pf_fixed'), 'utf8'));
  } catch {
    return undefined;
  }
}
