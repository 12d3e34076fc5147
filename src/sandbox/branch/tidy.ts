/**
 * After a branch, the guest running: what keeps the next ones cheap. A long chain of the disk is folded, and a long line merged.
 *
 * The next branch waits for a merge, which nobody gains from by ending it half done, and ends a fold. What did not get its turn here, such as in
 * a daemon that has just begun, the branch does itself before it begins.
 */
import { beginFold, isLongChain } from '../disk/fold.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { HostContext } from '../host/context.js';
import { isLongLine, shortenLine } from './line.js';

/** Call when no branch is under way. */
export function tidyInBackground(context: HostContext, sandbox: Sandbox): void {
  if (!isLongLine(sandbox.record) && !isLongChain(sandbox)) return;
  sandbox.foldInBackground(() => {
    const merged = shortenLine(context, sandbox);
    const fold = isLongChain(sandbox) ? beginFold(context, sandbox) : undefined;
    return {
      over: Promise.all([merged, fold?.over]).then(() => undefined),
      cancel: async () => {
        await fold?.cancel();
        await merged;
      },
    };
  });
}
