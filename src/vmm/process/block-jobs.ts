/**
 * Work QEMU does on a disk in the background.
 *
 * A job here ends by itself and is forgotten by QEMU (status `null`), finished or cancelled; which of the
 * two, the disk's state tells. It goes on when the daemon dies, so an adopted VMM may have one.
 */
import { sleep } from '../../base/index.js';
import { QmpCommandError, type QmpClient } from '../../qmp/index.js';

const CANCEL_DEADLINE_MS = 5_000;
const CANCEL_POLL_MS = 10;

/**
 * Starts a job with `command`, whose arguments must give it `id`, and resolves when it is over, however it
 * ended.
 */
export async function runJob(
  qmp: QmpClient,
  id: string,
  command: string,
  args: object,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const over = qmp.waitEvent(
    'JOB_STATUS_CHANGE',
    ({ data }) => data['id'] === id && data['status'] === 'null',
    options,
  );
  over.catch(() => undefined);
  await qmp.execute(command, { 'job-id': id, ...args });
  await over;
}

/** Cancels every job of the VM and resolves when there is none; throws if one is still there after 5 s. */
export async function cancelJobs(qmp: QmpClient): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += CANCEL_POLL_MS) {
    const jobs = (await qmp.execute('query-jobs')) as readonly { readonly id: string }[];
    if (jobs.length === 0) return;
    if (waitedMs >= CANCEL_DEADLINE_MS) throw new Error(`Block job ${jobs[0]?.id ?? ''} does not end`);
    if (waitedMs === 0) for (const { id } of jobs) await cancelJob(qmp, id);
    await sleep(CANCEL_POLL_MS);
  }
}

async function cancelJob(qmp: QmpClient, id: string): Promise<void> {
  try {
    await qmp.execute('job-cancel', { id });
  } catch (error) {
    // It may have ended by itself since it was listed.
    if (!(error instanceof QmpCommandError)) throw error;
  }
}
