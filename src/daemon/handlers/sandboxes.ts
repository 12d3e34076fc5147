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
    listSandboxes: () => host.listSandboxes(),
    spawn: ({ body, signal, key }) => host.spawn(body, signal, key),
    getSandbox: ({ params }) => host.getSandbox(knownForm(params)),
    async removeSandbox({ params }) {
      await host.removeSandbox(knownForm(params));
      return undefined;
    },
    exec: ({ params, body, signal }) => host.exec(knownForm(params), body, signal),
    evaluate: ({ params, body, signal }) => host.evaluate(knownForm(params), body, signal),
    ping: ({ params }) => host.ping(knownForm(params)),
    setTimeout: ({ params, body }) => host.setTimeout(knownForm(params), body),
  };
}

/** What cannot be an id is not found, and never reaches anything that looks ids up. */
export function knownForm({ id }: { id: string }): string {
  if (!sandboxIdSchema.safeParse(id).success) throw new BoughError('sandbox_not_found', { id });
  return id;
}
