/** The seam between the HTTP side and the domain: the one place of the daemon that knows which Host it runs on. */

import type { FastifyBaseLogger } from 'fastify';
import type { Host } from '../sandbox/host.js';
import type { Config } from './config.js';

/** Opens the host: locks the state directory, adopts and reaps what an earlier daemon left. */
export type OpenHost = (config: Config, log: FastifyBaseLogger) => Promise<Host>;

/** Loads the domain only when a daemon starts, so that the command line does not pay for it. */
export const openHost: OpenHost = async (config, log) => {
  const specifier = '../sandbox/open-host.js';
  const domain = (await import(specifier)) as { openHost: OpenHost };
  return domain.openHost(config, log);
};
