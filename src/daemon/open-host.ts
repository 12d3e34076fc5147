/** The seam between the HTTP side and the domain: the one place of the daemon that knows which Host it runs on. */

import type { FastifyBaseLogger } from 'fastify';
import type { Host } from '../sandbox/host.js';
import { openHost } from '../sandbox/open-host.js';
import type { Config } from './config.js';

/** Makes the host a daemon serves. */
export type OpenHost = (config: Config, log: FastifyBaseLogger) => Promise<Host>;

/** Opens the host a configuration describes: locks its state directory, adopts and reaps what is left from before. */
export const openConfiguredHost: OpenHost = async (config, log) => {
  const { stateDir, hotDir, cacheDir, maxConcurrentBranches } = config;
  const { diskQuotaBytes, hotBudgetBytes, memoryReserveBytes } = config;
  return openHost({
    ...{ stateDir, hotDir, cacheDir, maxConcurrentBranches },
    ...{ diskQuotaBytes, hotBudgetBytes, memoryReserveBytes },
    log: (level, event, facts) => log[level](facts, event),
  });
};
