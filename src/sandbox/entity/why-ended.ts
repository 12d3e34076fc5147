/** Why a VM ended, as its sandbox tells it. */
import type { VmmExit } from '../../vmm/index.js';

/** Reasons of QMP's SHUTDOWN event that are the guest's own. A kernel that panics reboots. */
const OF_THE_GUEST = new Map<unknown, string>([
  ['guest-shutdown', 'its guest powered off'],
  ['guest-reset', 'its guest rebooted, which ends a sandbox'],
  ['guest-panic', 'its guest panicked'],
]);

/** A clause about a sandbox: what its guest did, else how its process ended and the last line of what that said. */
export function whyEnded(exit: VmmExit, shutdownReason: unknown, logTail: string): string {
  const ofGuest = OF_THE_GUEST.get(shutdownReason);
  if (ofGuest !== undefined) return ofGuest;
  const lastLine = logTail.trimEnd().split('\n').at(-1) ?? '';
  return lastLine === '' ? howEnded(exit) : `${howEnded(exit)}: ${lastLine}`;
}

function howEnded(exit: VmmExit): string {
  if (exit === 'gone') return 'its process is gone';
  const { code, signal } = exit;
  return signal === null
    ? `its VMM exited with status ${code ?? 'unknown'}`
    : `its VMM was ended by ${signal}`;
}
