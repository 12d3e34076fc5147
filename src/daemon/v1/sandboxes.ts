/** Handlers: sandboxes and the calls into their guests. */

import { BoughError, sandboxIdSchema } from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../calls.js';
import { wireEvaluated, wireExit, wireSandbox } from './answers.js';
import { evalSpec, lifetimeChange, program, spawnSpec } from './requests.js';

export function sandboxHandlers(
  host: Host,
): Pick<
  Handlers,
  'listSandboxes' | 'spawn' | 'getSandbox' | 'removeSandbox' | 'exec' | 'evaluate' | 'ping' | 'setTimeout'
> {
  return {
    listSandboxes: async (_, call) => (await host.listSandboxes(call)).map(wireSandbox),
    spawn: async ({ body }, call) => (await host.spawn(spawnSpec(body), call)).map(wireSandbox),
    getSandbox: async ({ params }, call) => wireSandbox(await host.getSandbox(knownForm(params), call)),
    async removeSandbox({ params }, call) {
      await host.removeSandbox(knownForm(params), call);
      return undefined;
    },
    exec: async ({ params, body }, call) => wireExit(await host.exec(knownForm(params), program(body), call)),
    evaluate: async ({ params, body }, call) =>
      wireEvaluated(await host.evaluate(knownForm(params), evalSpec(body), call)),
    ping: async ({ params }, call) => ({ ...(await host.ping(knownForm(params), call)) }),
    setTimeout: async ({ params, body }, call) =>
      wireSandbox(await host.setTimeout(knownForm(params), lifetimeChange(body), call)),
  };
}

/** What cannot be an id is not found, and never reaches anything that looks ids up. */
export function knownForm({ id }: { id: string }): string {
  if (!sandboxIdSchema.safeParse(id).success) throw new BoughError('sandbox_not_found', { id });
  return id;
}
