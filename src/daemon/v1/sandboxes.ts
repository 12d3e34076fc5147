/** Handlers: sandboxes and the calls into their guests. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { NEXT_AFTER, pageOf } from '../../contract/index.js';
import { wireEvaluated, wireSandbox, wireStats } from './answers.js';
import { execHandler } from './exec.js';
import { removeSelected, selected } from './selection.js';
import { evalSpec, lifetimeChange, spawnSpec } from './requests.js';
import { knownForm } from './sandbox-id.js';

export function sandboxHandlers(
  host: Host,
): Pick<
  Handlers,
  | 'listSandboxes'
  | 'spawn'
  | 'getSandbox'
  | 'removeSandbox'
  | 'removeSandboxes'
  | 'pauseSandbox'
  | 'resumeSandbox'
  | 'sandboxStats'
  | 'exec'
  | 'evaluate'
  | 'ping'
  | 'setTimeout'
> {
  return {
    async listSandboxes({ query, addHeader }, call) {
      const views = selected(await host.listSandboxes(call), query.selector);
      const { items, next } = pageOf(views, query, ({ createdAtUnix, id }) => ({ createdAtUnix, name: id }));
      if (next !== undefined) addHeader(NEXT_AFTER, next);
      return items.map(wireSandbox);
    },
    spawn: async ({ body }, call) => (await host.spawn(spawnSpec(body), call)).map(wireSandbox),
    getSandbox: async ({ params }, call) => wireSandbox(await host.getSandbox(knownForm(params), call)),
    async removeSandbox({ params }, call) {
      await host.removeSandbox(knownForm(params), call);
      return undefined;
    },
    removeSandboxes: ({ query }, call) => removeSelected(host, query.selector, call),
    pauseSandbox: async ({ params }, call) => wireSandbox(await host.pause(knownForm(params), call)),
    resumeSandbox: async ({ params }, call) => wireSandbox(await host.resume(knownForm(params), call)),
    sandboxStats: async ({ params }, call) => wireStats(await host.stats(knownForm(params), call)),
    exec: execHandler(host),
    evaluate: async ({ params, body }, call) =>
      wireEvaluated(await host.evaluate(knownForm(params), evalSpec(body), call)),
    ping: async ({ params }, call) => ({ ...(await host.ping(knownForm(params), call)) }),
    setTimeout: async ({ params, body }, call) =>
      wireSandbox(await host.setTimeout(knownForm(params), lifetimeChange(body), call)),
  };
}
