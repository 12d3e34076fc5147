/** The seam between the HTTP side and the domain: the one place of the daemon that knows which Host it runs on. */

import type { FastifyBaseLogger } from 'fastify';
import type { Host } from '../sandbox/host.js';
import { openHost as openLocalHost } from '../sandbox/open-host.js';
import type { Config } from './config.js';

/** Opens the host: locks the state directory, adopts and reaps what an earlier daemon left. */
export function openHost(config: Config, log: FastifyBaseLogger): Promise<Host> {
  return openLocalHost({ ...config, log: (level, event, facts) => log[level]({ event, ...facts }, event) });
}
