/** Handlers: the network of a sandbox. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { aliveLines } from '../streams/alive-lines.js';
import { knownForm } from './sandbox-id.js';

export function networkHandlers(
  host: Host,
): Pick<Handlers, 'getNetwork' | 'setNetwork' | 'checkNetwork' | 'networkLog'> {
  return {
    getNetwork: ({ params }, call) => host.network(knownForm(params), call),
    setNetwork: ({ params, body }, call) => host.setNetwork(knownForm(params), body, call),
    checkNetwork: ({ params, body }, call) => host.checkNetwork(knownForm(params), body, call),
    async networkLog({ params, query }, call) {
      const lines = await host.networkLog(knownForm(params), query, call);
      return { bytes: query.follow ? aliveLines(lines) : lines };
    },
  };
}
