/** Handlers: the daemon about itself. */

import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import type { Metrics } from '../metrics.js';
import { openApiDocument } from '../openapi.js';
import { version } from '../version.js';
import { wireCollection } from './answers.js';

export function daemonHandlers(
  host: Host,
  metrics: Metrics,
): Pick<Handlers, 'healthz' | 'version' | 'metrics' | 'openapi' | 'gc'> {
  let document: ReturnType<typeof openApiDocument> | undefined;
  return {
    healthz: () => ({ ok: true as const }),
    version: () => ({ version, api: 'v1' as const }),
    metrics: () => metrics.text(),
    // Made when it is asked for: that takes a tenth of a second, which no daemon should start with.
    openapi: () => (document ??= openApiDocument()),
    gc: async ({ body }, call) => wireCollection(await host.collect({ dryRun: body.dry_run }, call)),
  };
}
