/** Handlers: branch and fork. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { wireForked, wireSnapshot } from './answers.js';
import { branchSpec, forkSpec } from './requests.js';
import { knownForm } from './sandbox-id.js';

export function branchHandlers(host: Host): Pick<Handlers, 'branch' | 'fork'> {
  return {
    async branch({ params, body, answerWith }, call) {
      const view = await host.branch(knownForm(params), branchSpec(body), call);
      if (body.wait === false) answerWith(202);
      return wireSnapshot(view);
    },
    fork: async ({ params, body }, call) =>
      wireForked(await host.fork(knownForm(params), forkSpec(body), call)),
  };
}
