/** Handlers: the daemon about itself. */

import type { Handlers } from '../calls.js';
import type { Metrics } from '../metrics.js';
import { version } from '../version.js';

export function daemonHandlers(metrics: Metrics): Pick<Handlers, 'healthz' | 'version' | 'metrics'> {
  return {
    healthz: () => ({ ok: true as const }),
    version: () => ({ version, api: 'v1' as const }),
    metrics: () => metrics.text(),
  };
}
