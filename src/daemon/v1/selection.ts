/** Sandboxes by their metadata: which a selector chooses, and ending those. */
import pLimit from 'p-limit';
import { BoughError, isBoughError, isSelected, type RemovedSandboxes } from '../../contract/index.js';
import type { CallContext } from '../../sandbox/host/call.js';
import type { Host } from '../../sandbox/host/host.js';
import type { SandboxView } from '../../sandbox/entity/view.js';

const CONCURRENT_REMOVALS = 8;

/** All of them without a selector. */
export function selected(
  views: readonly SandboxView[],
  selector: string | undefined,
): readonly SandboxView[] {
  return selector === undefined ? views : views.filter(({ metadata }) => isSelected(selector, metadata));
}

/** Ends those that there are now; what others end meanwhile is gone as well. */
export async function removeSelected(
  host: Host,
  selector: string,
  call: CallContext,
): Promise<RemovedSandboxes> {
  const views = selected(await host.listSandboxes(call), selector);
  const limit = pLimit(CONCURRENT_REMOVALS);
  const failures = await Promise.all(
    views.map(({ id }) => limit(() => failureOf(host.removeSandbox(id, call)))),
  );
  const outcomes = views.map(({ id }, at) => ({ id, failure: failures[at] }));
  return {
    removed: outcomes.filter(({ failure }) => failure === undefined).map(({ id }) => id),
    failed: outcomes.flatMap(({ id, failure }) =>
      failure === undefined ? [] : [{ id, error: failure.message, code: failure.code }],
    ),
  };
}

async function failureOf(removal: Promise<void>): Promise<BoughError | undefined> {
  try {
    await removal;
    return undefined;
  } catch (error) {
    if (isBoughError(error, 'sandbox_not_found')) return undefined;
    if (isBoughError(error)) return error;
    throw error;
  }
}
