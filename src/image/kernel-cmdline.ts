/**
 * The kernel's command line of a guest: what every guest gets, and what only a software-emulated one does.
 *
 * An idle guest must write to no memory, because a branch copies what it wrote: hence `nowatchdog`, and no zeroing of pages. Under
 * TCG time comes from QEMU in steps that the kernel's checks of its timers take for broken hardware: hence `no_timer_check` and
 * `tsc=unstable`, which would only cost a guest on real hardware its best clock. The processor that TCG emulates speculates on nothing,
 * so `mitigations=off`; on a real one the guest's kernel decides. TCG finds translated code by its virtual address, so
 * a program whose addresses are random is translated anew at each start: hence `norandmaps`.
 */

/** What an image says of its command line. */
export interface CmdlineChoices {
  /** Random addresses for programs under TCG too, where each start of a program then costs its translation. */
  readonly randomAddresses?: boolean | undefined;
}

const EVERY_GUEST = [
  'console=ttyS0 panic=-1 quiet',
  'root=/dev/vda rw',
  'nowatchdog init_on_alloc=0 transparent_hugepage=madvise',
  'random.trust_cpu=on audit=0 8250.nr_uarts=1',
];
const UNDER_TCG = ['mitigations=off', 'no_timer_check tsc=unstable'];

export function kernelCmdline(
  accelerator: 'kvm' | 'tcg',
  { randomAddresses = false }: CmdlineChoices,
): string {
  if (accelerator === 'kvm') return EVERY_GUEST.join(' ');
  return [...EVERY_GUEST, ...UNDER_TCG, ...(randomAddresses ? [] : ['norandmaps'])].join(' ');
}
