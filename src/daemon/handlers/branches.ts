/** Handlers: branch and fork. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../calls.js';
import type { Metrics } from '../metrics.js';
import { knownForm } from './sandboxes.js';

export function branchHandlers(host: Host, metrics: Metrics): Pick<Handlers, 'branch' | 'fork'> {
  return {
    async branch({ params, body, answerWith }, call) {
      const startMs = performance.now();
      const { snapshot, accepted } = await host.branch(knownForm(params), body, call);
      metrics.observeBranch(snapshot.mode ?? body.mode, snapshot.pause_ms, performance.now() - startMs);
      if (accepted) answerWith(202);
      return snapshot;
    },
    async fork({ params, body }, call) {
      const startMs = performance.now();
      const result = await host.fork(knownForm(params), body, call);
      metrics.observeBranch(result.snapshot.mode ?? body.mode, result.pause_ms, performance.now() - startMs);
      return result;
    },
  };
}
