/**
 * Stopping a guest on request, and letting it run again.
 *
 * The VM is the one place that knows: QEMU stands still until it is told to go on, whatever becomes of the daemon, and the next one finds
 * it so. Neither may meet a branch, which would let the guest run on at the end of its own pause.
 */
import type { Sandbox } from './sandbox.js';

/** Resolves when the guest stands still. Throws `sandbox_not_running`, `branch_in_progress`, or what QEMU says. */
export async function pauseGuest(sandbox: Sandbox): Promise<void> {
  sandbox.require('pause');
  if (sandbox.state === 'paused') return;
  await alone(sandbox, async () => {
    await sandbox.vm.vmm.qmp.execute('stop');
    sandbox.notePause();
  });
  sandbox.require('pause');
}

/** Resolves when the guest runs and its clock is set, or cannot be. Throws as `pauseGuest` does. */
export async function resumeGuest(sandbox: Sandbox): Promise<void> {
  sandbox.require('resume');
  if (sandbox.state === 'running') return;
  await alone(sandbox, async () => {
    await sandbox.vm.vmm.qmp.execute('cont');
    sandbox.noteResume();
  });
  sandbox.require('resume');
  await sandbox.clock.settled;
}

async function alone(sandbox: Sandbox, work: () => Promise<void>): Promise<void> {
  const release = sandbox.claimForBranch();
  try {
    await work();
  } finally {
    release();
  }
}
