/** Handlers: branch and fork. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../calls.js';
import type { Metrics } from '../metrics.js';
import { wireForked, wireSnapshot } from './answers.js';
import { branchSpec, forkSpec } from './requests.js';
import { knownForm } from './sandbox-id.js';

export function branchHandlers(host: Host, metrics: Metrics): Pick<Handlers, 'branch' | 'fork'> {
  return {
    async branch({ params, body, answerWith }, call) {
      const startMs = performance.now();
      const view = await host.branch(knownForm(params), branchSpec(body), call);
      metrics.observeBranch(view.mode ?? body.mode, view.pauseMs, performance.now() - startMs);
      if (body.wait === false) answerWith(202);
      return wireSnapshot(view);
    },
    async fork({ params, body }, call) {
      const startMs = performance.now();
      const forked = await host.fork(knownForm(params), forkSpec(body), call);
      const { mode = body.mode, pauseMs } = forked.snapshot;
      metrics.observeBranch(mode, pauseMs, performance.now() - startMs);
      return wireForked(forked);
    },
  };
}
