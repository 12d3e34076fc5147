/** Handlers: the network of a sandbox. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { knownForm } from './sandbox-id.js';

export function networkHandlers(
  host: Host,
): Pick<Handlers, 'getNetwork' | 'setNetwork' | 'checkNetwork' | 'networkLog'> {
  return {
    getNetwork: ({ params }, call) => host.network(knownForm(params), call),
    setNetwork: ({ params, body }, call) => host.setNetwork(knownForm(params), body, call),
    checkNetwork: ({ params, body }, call) => host.checkNetwork(knownForm(params), body, call),
    networkLog: async ({ params, query }, call) => ({
      bytes: await host.networkLog(knownForm(params), query, call),
    }),
  };
}
