/** Handlers: sandboxes and the calls into their guests. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { wireEvaluated, wireSandbox } from './answers.js';
import { execHandler } from './exec.js';
import { evalSpec, lifetimeChange, spawnSpec } from './requests.js';
import { knownForm } from './sandbox-id.js';

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
    exec: execHandler(host),
    evaluate: async ({ params, body }, call) =>
      wireEvaluated(await host.evaluate(knownForm(params), evalSpec(body), call)),
    ping: async ({ params }, call) => ({ ...(await host.ping(knownForm(params), call)) }),
    setTimeout: async ({ params, body }, call) =>
      wireSandbox(await host.setTimeout(knownForm(params), lifetimeChange(body), call)),
  };
}
