/** Handlers: the timeline of a sandbox. */

import { compact } from '../../base/index.js';
import type { Checkpoints, TimelinePoint } from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { wireRolledBack } from './answers.js';
import { checkpointSchedule, rollbackSpec } from './requests.js';
import { knownForm } from './sandbox-id.js';

type Timelines = Host['timelines'];

export function timelineHandlers({
  timelines,
}: Host): Pick<
  Handlers,
  'timeline' | 'getCheckpoints' | 'setCheckpoints' | 'removeCheckpoints' | 'rollback'
> {
  return {
    timeline: async ({ params }, call) => (await timelines.list(knownForm(params), call)).map(wirePoint),
    getCheckpoints: async ({ params }, call) =>
      wireCheckpoints(await timelines.schedule(knownForm(params), call)),
    setCheckpoints: async ({ params, body }, call) =>
      wireCheckpoints(await timelines.setSchedule(knownForm(params), checkpointSchedule(body), call)),
    async removeCheckpoints({ params }, call) {
      await timelines.setSchedule(knownForm(params), undefined, call);
      return undefined;
    },
    rollback: async ({ params, body }, call) =>
      wireRolledBack(await timelines.rollback(knownForm(params), rollbackSpec(body), call)),
  };
}

function wirePoint(point: Awaited<ReturnType<Timelines['list']>>[number]): TimelinePoint {
  const { tag, status, durable, pauseMs: pause_ms } = point.snapshot;
  return {
    ...{ tag, status, durable, at_unix_ms: point.atUnixMs, bytes: point.bytes },
    ...{ thinned: point.isThinnedOut, origin: point.isOrigin },
    ...compact({ pause_ms }),
  };
}

function wireCheckpoints({ schedule, warning }: Awaited<ReturnType<Timelines['schedule']>>): Checkpoints {
  if (schedule === undefined) return { schedule: null, ...compact({ warning }) };
  const { everySecs: every_secs, thinning } = schedule;
  const keep = thinning.keep.map(({ withinSecs: within_secs, everySecs }) => ({
    within_secs,
    ...compact({ every_secs: everySecs }),
  }));
  return { schedule: { every_secs, keep, max_bytes: thinning.maxBytes }, ...compact({ warning }) };
}
