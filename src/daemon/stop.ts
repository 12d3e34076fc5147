/**
 * Ending a daemon from outside: found by the lock on its state folder, told by a signal, gone when its
 * process is.
 */
import { lockHolder, monotonicMs, sleep } from '../base/index.js';
import { lockPathOf } from '../store/index.js';
import { processStartTicks } from '../vmm/index.js';

const POLL_MS = 50;

/** The daemon did not end in time; it goes on stopping. */
export class StillStopping extends Error {
  override readonly name = 'StillStopping';

  constructor(pid: number, deadlineMs: number) {
    super(`The daemon (process ${pid}) was told to stop and has not ended within ${deadlineMs / 1000} s`);
  }
}

/**
 * Tells the daemon over `stateDir` to stop and waits until it has. Resolves with the pid it had, or undefined
 * if there is none. Throws StillStopping, or the kernel's EACCES or EPERM where it belongs to another user.
 */
export async function stopDaemon(stateDir: string, deadlineMs: number): Promise<number | undefined> {
  const pid = await lockHolder(lockPathOf(stateDir));
  const startTicks = pid === undefined ? undefined : await processStartTicks(pid);
  if (pid === undefined || startTicks === undefined) return undefined;
  process.kill(pid, 'SIGTERM');
  const giveUpAtMs = monotonicMs() + deadlineMs;
  while ((await processStartTicks(pid)) === startTicks) {
    if (monotonicMs() > giveUpAtMs) throw new StillStopping(pid, deadlineMs);
    await sleep(POLL_MS);
  }
  return pid;
}
