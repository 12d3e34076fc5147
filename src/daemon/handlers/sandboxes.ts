/** Handlers: sandboxes and the calls into their guests. */

import { BoughError, sandboxIdSchema } from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../calls.js';

export function sandboxHandlers(
  host: Host,
): Pick<
  Handlers,
  'listSandboxes' | 'spawn' | 'getSandbox' | 'removeSandbox' | 'exec' | 'evaluate' | 'ping' | 'setTimeout'
> {
  return {
    listSandboxes: (_, call) => host.listSandboxes(call),
    spawn: ({ body }, call) => host.spawn(body, call),
    getSandbox: ({ params }, call) => host.getSandbox(knownForm(params), call),
    async removeSandbox({ params }, call) {
      await host.removeSandbox(knownForm(params), call);
      return undefined;
    },
    exec: ({ params, body }, call) => host.exec(knownForm(params), body, call),
    evaluate: ({ params, body }, call) => host.evaluate(knownForm(params), body, call),
    ping: ({ params }, call) => host.ping(knownForm(params), call),
    setTimeout: ({ params, body }, call) => host.setTimeout(knownForm(params), body, call),
  };
}

/** What cannot be an id is not found, and never reaches anything that looks ids up. */
export function knownForm({ id }: { id: string }): string {
  if (!sandboxIdSchema.safeParse(id).success) throw new BoughError('sandbox_not_found', { id });
  return id;
}
