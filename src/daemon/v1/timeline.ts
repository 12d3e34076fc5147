/** Handlers: the timeline of a sandbox. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { wireRolledBack } from './answers.js';
import { rollbackSpec } from './requests.js';
import { knownForm } from './sandbox-id.js';

export function timelineHandlers({ timelines }: Host): Pick<Handlers, 'rollback'> {
  return {
    rollback: async ({ params, body }, call) =>
      wireRolledBack(await timelines.rollback(knownForm(params), rollbackSpec(body), call)),
  };
}
