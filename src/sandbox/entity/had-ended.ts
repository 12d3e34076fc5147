/**
 * Whether a guest had ended before it was captured.
 *
 * One that has ended stands still already, so QEMU tells of no stop when it is captured, and what was captured never runs again. QEMU may
 * also have missed to tell of a guest that runs; so it is asked.
 */
import type { PagerPause } from '../../pager/index.js';
import { QmpDisconnected, type QmpClient } from '../../qmp/index.js';

export async function hadEnded(
  qmp: Pick<QmpClient, 'execute'>,
  { eventsUs }: Pick<PagerPause, 'eventsUs'>,
): Promise<boolean> {
  if (eventsUs > 0) return false;
  const ended = { status: 'shutdown' } as const;
  const { status } = await qmp.execute('query-status').catch((error: unknown) => {
    if (error instanceof QmpDisconnected) return ended;
    throw error;
  });
  return status === 'shutdown';
}
