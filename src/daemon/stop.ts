/**
 * Ending a daemon from outside: found by the lock on its state folder, told by a signal, gone when its
 * process is.
 */
import { errorCode, lockHolder, messageOf, monotonicMs, sleep } from '../base/index.js';
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

/** This user may not see who holds the lock, or not signal it. */
export class StopNotAllowed extends Error {
  override readonly name = 'StopNotAllowed';

  constructor(stateDir: string, cause: unknown) {
    super(`Cannot stop the daemon over ${stateDir}: ${messageOf(cause)}`, { cause });
  }
}

/** What reaches other processes; tests have other ways. */
export interface StopSteps {
  readonly lockHolder: typeof lockHolder;
  readonly processStartTicks: typeof processStartTicks;
  readonly kill: (pid: number, signal: 'SIGTERM') => void;
}

const ownSteps: StopSteps = {
  lockHolder,
  processStartTicks,
  kill: (pid, signal) => process.kill(pid, signal),
};

/**
 * Tells the daemon over `stateDir` to stop and waits until it has. Resolves with the pid it had, or undefined
 * if there is none. Throws StillStopping, or StopNotAllowed where it belongs to another user.
 */
export async function stopDaemon(
  stateDir: string,
  deadlineMs: number,
  steps: StopSteps = ownSteps,
): Promise<number | undefined> {
  try {
    const pid = await steps.lockHolder(lockPathOf(stateDir));
    const startTicks = pid === undefined ? undefined : await steps.processStartTicks(pid);
    if (pid === undefined || startTicks === undefined) return undefined;
    steps.kill(pid, 'SIGTERM');
    const giveUpAtMs = monotonicMs() + deadlineMs;
    while ((await steps.processStartTicks(pid)) === startTicks) {
      if (monotonicMs() > giveUpAtMs) throw new StillStopping(pid, deadlineMs);
      await sleep(POLL_MS);
    }
    return pid;
  } catch (error) {
    const code = errorCode(error);
    // It has ended by itself since it was found.
    if (code === 'ESRCH') return undefined;
    if (code === 'EACCES' || code === 'EPERM') throw new StopNotAllowed(stateDir, error);
    throw error;
  }
}
