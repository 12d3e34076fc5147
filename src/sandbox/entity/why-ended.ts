/** Why a VM ended, as its sandbox tells it. */
import { MEMORY_LIMIT, type LastWords, type VmmExit } from '../../vmm/index.js';

/** By the reasons of last words. A kernel that panics reboots; one whose reason nobody heard has ended all the same. */
const OF_THE_GUEST = new Map<string | undefined, string>([
  ['guest-shutdown', 'its guest powered off'],
  ['guest-reset', 'its guest rebooted, which ends a sandbox'],
  ['guest-panic', 'its guest panicked'],
  [MEMORY_LIMIT, 'it took more memory than its memory_limit_mib'],
  [undefined, 'its guest powered off or rebooted while no daemon ran'],
]);
const PANIC = /Kernel panic - not syncing: (.*)/g;
const MAX_PANIC_CHARACTERS = 200;

/** A clause about a sandbox: what its guest did, else how its process ended and the last line of what that said. */
export function whyEnded(exit: VmmExit, lastWords: LastWords | undefined, logTail: string): string {
  const ofGuest = lastWords && whatGuestDid(lastWords);
  if (ofGuest !== undefined) return ofGuest;
  const lastLine = logTail.trimEnd().split('\n').at(-1) ?? '';
  return lastLine === '' ? howEnded(exit) : `${howEnded(exit)}: ${lastLine}`;
}

/** What a guest that ended by itself did; a kernel's panic by its own words. */
function whatGuestDid({ reason, consoleTail }: LastWords): string | undefined {
  const panic = [...consoleTail.matchAll(PANIC)].at(-1)?.[1];
  if (panic !== undefined && reason !== 'guest-shutdown')
    return `kernel panic: ${panic.trim().slice(0, MAX_PANIC_CHARACTERS)}`;
  return OF_THE_GUEST.get(reason);
}

/** What a record keeps of the guest's console. */
export function consoleOf(lastWords: LastWords | undefined): { consoleTail?: string } {
  return lastWords === undefined || lastWords.consoleTail === ''
    ? {}
    : { consoleTail: lastWords.consoleTail };
}

function howEnded(exit: VmmExit): string {
  if (exit === 'gone') return 'its process is gone';
  const { code, signal } = exit;
  return signal === null
    ? `its VMM exited with status ${code ?? 'unknown'}`
    : `its VMM was ended by ${signal}`;
}
